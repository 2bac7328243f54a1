"""Snapshot files: the state machine at one index, checksummed piece by piece.

Source: Ongaro and Ousterhout (2014), section 7. Ours in form, little-endian:

    file    = "MESHSNAP" version:u16 reserved:u16 crc:u32 index:u64 term:u64  chunk*  trailer
    chunk   = length:u32 crc:u32 data[length]     crc: CRC-32 of the data, started from the chunk's number
    trailer = 0xFFFFFFFF:u32 crc:u32 count:u64 bytes:u64

A file is written beside the old one under a `.tmp` name, synced, renamed, and the directory synced: a name without
`.tmp` is a whole snapshot. The two newest are kept.

What may be changed: a new layout gets a new `VERSION`; the old one stays readable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from zlib import crc32

from meshagent.catalog.raft.disk import Disk, DiskFile
from meshagent.catalog.raft.records import WAY_OUT
from meshagent.errors import CorruptData

__all__ = ["KEPT", "SnapshotId", "SnapshotWriter", "list_snapshots", "read_snapshot", "verify_snapshot"]

VERSION = 1
MAGIC = b"MESHSNAP"
MAX_CHUNK_BYTES = 256 << 20
KEPT = 2
SYNC_EVERY_BYTES = 8 << 20  # in small portions, so that the journal's own fdatasync never waits behind a large one
_HEAD = struct.Struct("<8sHHIQQ")
_CHUNK = struct.Struct("<II")
_END = struct.Struct("<QQ")
_END_MARK = 0xFFFFFFFF
_PREFIX, _SUFFIX = "snapshot-", ".snap"


@dataclass(frozen=True, slots=True, order=True)
class SnapshotId:
    """The last entry that a snapshot contains."""

    index: int
    term: int

    @property
    def name(self) -> str:
        return f"{_PREFIX}{self.index:020d}-{self.term}{_SUFFIX}"


def list_snapshots(names: Iterable[str]) -> list[SnapshotId]:
    """The whole snapshots among file `names`, newest first."""
    found = []
    for name in names:
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            index, _, term = name[len(_PREFIX) : -len(_SUFFIX)].partition("-")
            if index.isdecimal() and term.isdecimal():
                found.append(SnapshotId(int(index), int(term)))
    return sorted(found, reverse=True)


class SnapshotWriter:
    """Writes one snapshot; every call blocks on the disk. Nothing is visible before `finish`."""

    def __init__(self, disk: Disk, snapshot: SnapshotId) -> None:
        self._disk = disk
        self._snapshot = snapshot
        self._file: DiskFile = disk.create(snapshot.name + ".tmp")
        self._offset = 0
        self._synced = 0
        self._count = 0
        self._bytes = 0
        self._finished = False
        crc = crc32(struct.pack("<HHQQ", VERSION, 0, snapshot.index, snapshot.term))
        self._put(_HEAD.pack(MAGIC, VERSION, 0, crc, snapshot.index, snapshot.term))

    def write(self, chunks: Iterable[bytes]) -> None:
        parts: list[bytes] = []
        for chunk in chunks:
            parts += (_CHUNK.pack(len(chunk), crc32(chunk, self._count)), chunk)
            self._count += 1
            self._bytes += len(chunk)
        self._put(b"".join(parts))
        if self._offset - self._synced >= SYNC_EVERY_BYTES:
            self._file.sync()
            self._synced = self._offset

    def finish(self) -> int:
        """Make it the newest snapshot; its size in bytes."""
        end = _END.pack(self._count, self._bytes)
        self._put(_CHUNK.pack(_END_MARK, crc32(end)) + end)
        self._file.sync()
        self._file.close()
        self._finished = True
        self._disk.rename(self._snapshot.name + ".tmp", self._snapshot.name)
        self._disk.sync_names()
        return self._offset

    def abandon(self) -> None:
        """Remove what there is of it; nothing when it was finished."""
        if self._finished:
            return
        self._finished = True
        self._file.close()
        self._disk.remove(self._snapshot.name + ".tmp")

    def _put(self, data: bytes) -> None:
        self._file.write(self._offset, data)
        self._offset += len(data)


def read_snapshot(disk: Disk, snapshot: SnapshotId) -> Iterator[bytes]:
    """The chunks, each checked. Raises CorruptData naming file and offset."""
    path = disk.path(snapshot.name)
    with disk.reader(snapshot.name) as file:
        head = file.read(_HEAD.size)
        if len(head) != _HEAD.size:
            raise CorruptData(_message(path, 0, "ends too early"))
        magic, version, reserved, crc, index, term = _HEAD.unpack(head)
        if magic != MAGIC or crc != crc32(struct.pack("<HHQQ", version, reserved, index, term)):
            raise CorruptData(_message(path, 0, "bad header"))
        if version != VERSION:
            raise CorruptData(f"{path}: snapshot version {version}, this program reads {VERSION}: use a newer one")
        if (index, term) != (snapshot.index, snapshot.term):
            raise CorruptData(_message(path, 0, f"header says index {index}, term {term}"))
        yield from _read_chunks(file, path)


def _read_chunks(file: BinaryIO, path: str) -> Iterator[bytes]:
    count = total = 0
    offset = _HEAD.size
    while len(head := file.read(_CHUNK.size)) == _CHUNK.size:
        length, crc = _CHUNK.unpack(head)
        if length == _END_MARK:
            end = file.read(_END.size)
            if len(end) != _END.size or crc32(end) != crc or _END.unpack(end) != (count, total) or file.read(1):
                raise CorruptData(_message(path, offset, "bad end"))
            return
        if length > MAX_CHUNK_BYTES:
            raise CorruptData(_message(path, offset, f"chunk of {length} bytes"))
        chunk = file.read(length)
        if len(chunk) != length or crc32(chunk, count) != crc:
            raise CorruptData(_message(path, offset, "bad checksum"))
        yield chunk
        count += 1
        total += length
        offset += _CHUNK.size + length
    raise CorruptData(_message(path, offset, "ends too early"))


def _message(path: str, offset: int, what: str) -> str:
    return f"{path}: at offset {offset}: {what}; {WAY_OUT}"


def verify_snapshot(disk: Disk, snapshot: SnapshotId) -> None:
    """Read it through. Raises CorruptData."""
    for _ in read_snapshot(disk, snapshot):
        pass
