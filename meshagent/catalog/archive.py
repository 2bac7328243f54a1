"""Archives: the state at one moment as one file to keep, to look into, and to restore into any cluster.

Source: surface rows SN1, SN2, CL13. Ours in form (Consul's is a gzipped tar of its own tables), in a gzip frame so that
clients which expect one are content and `gunzip -t` works. Inside, little-endian:

    archive = "MESHARCH" version:u16 reserved:u16 piece(meta) piece(chunk)* end
    piece   = length:u32 crc:u32 data[length]      crc: CRC-32 of the data, started from the piece's number
    end     = 0xFFFFFFFF:u32 pieces:u64 bytes:u64 sha256[32]      sha256: of everything before `end`

Meta is a msgpack map (`ArchiveMeta`), chunks are the store's (`snapshot.py`), which have a checksum of their own.
Machines without I/O: bytes in, bytes or chunks out; of a large archive never more than a piece is held.

What may be changed: fields of the meta may be added with a default; another layout gets a new `VERSION`, and the old
one stays readable.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime

import msgspec

from meshagent.errors import CorruptData

__all__ = ["MAX_PIECE_BYTES", "VERSION", "ArchiveMeta", "ArchiveReader", "ArchiveWriter"]

VERSION = 1
MAGIC = b"MESHARCH"
#: A chunk holds 500 rows at most; a key's value may be some MiB when the limits are raised.
MAX_PIECE_BYTES = 256 << 20
#: Decompressed at once, however little came in: what a hostile archive can make us hold beside a piece.
_INFLATE_BYTES = 1 << 20
_LEVEL = 1  # 3 takes twice as long for 5 % less
_GZIP = 31  # zlib's wbits for a gzip frame
_HEAD = struct.Struct("<8sHH")
_PIECE = struct.Struct("<II")
_END = struct.Struct("<QQ32s")
_END_MARK = 0xFFFFFFFF
_TAR_MAGIC_AT = 257

_FOREIGN = (
    "failed to read snapshot file: this is a snapshot of Consul, whose tables meshagent cannot read; "
    "move keys with 'kv export' and 'kv import', and let agents register their services again"
)


class ArchiveMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive says of itself: the place in the log, when and where it was taken, by which release."""

    index: int
    term: int
    time: datetime
    cluster_id: str = ""
    datacenter: str = ""
    node: str = ""
    release: str = ""

    @property
    def id(self) -> str:
        """Consul's form: term, index, milliseconds since 1970."""
        return f"{self.term}-{self.index}-{int(self.time.timestamp() * 1000)}"


class ArchiveWriter:
    """`begin`, then `add` for each chunk, then `end`: each gives the bytes that are ready, perhaps none."""

    def __init__(self, meta: ArchiveMeta) -> None:
        self._meta = meta
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._sha = hashlib.sha256()
        self._pieces = 0
        self._bytes = 0

    def begin(self) -> bytes:
        return self._put(_HEAD.pack(MAGIC, VERSION, 0)) + self.add(msgspec.msgpack.encode(self._meta))

    def add(self, chunk: bytes) -> bytes:
        head = _PIECE.pack(len(chunk), zlib.crc32(chunk, self._pieces))
        self._pieces += 1
        self._bytes += len(chunk)
        return self._put(head) + self._put(chunk)

    def end(self) -> bytes:
        end = struct.pack("<I", _END_MARK) + _END.pack(self._pieces, self._bytes, self._sha.digest())
        return self._gzip.compress(end) + self._gzip.flush()

    def _put(self, data: bytes) -> bytes:
        self._sha.update(data)
        return self._gzip.compress(data)


class ArchiveReader:
    """Give it the bytes as they come: `feed` yields chunks, each checked; `finish` when there are no more.

    `meta` is there once the first chunk is. Everything raises CorruptData, in Consul's words where there are such.
    """

    def __init__(self) -> None:
        self.meta: ArchiveMeta | None = None
        self.size_bytes = 0
        """Of the archive as it came."""
        self._gzip = zlib.decompressobj(_GZIP)
        self._sha = hashlib.sha256()
        self._buffer = bytearray()
        self._headed = False
        self._ended = False
        self._pieces = 0
        self._bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields lazily: what is not taken is not decompressed."""
        if data and not self.size_bytes and data[:1] != b"\x1f":
            raise CorruptData("failed to decompress snapshot: gzip: invalid header")
        self.size_bytes += len(data)
        while data:
            if self._gzip.eof:
                raise CorruptData("failed to decompress snapshot: data after its end")
            try:
                self._buffer += self._gzip.decompress(data, _INFLATE_BYTES)
            except zlib.error:
                begun = self._headed or self._buffer
                what = "the compressed data is damaged" if begun else "gzip: invalid header"
                raise CorruptData(f"failed to decompress snapshot: {what}") from None
            data = self._gzip.unconsumed_tail or self._gzip.unused_data
            yield from self._chunks()

    def finish(self) -> None:
        """There is nothing more. Raises CorruptData when there should be."""
        if not self.size_bytes:
            raise CorruptData("failed to decompress snapshot: EOF")
        if not self._gzip.eof:
            raise CorruptData("failed to decompress snapshot: unexpected EOF")
        if not self._ended or self.meta is None:
            if not self._headed:
                self._head(len(self._buffer))
            raise CorruptData("failed to read snapshot file: it ends too early")

    def _chunks(self) -> Iterator[bytes]:
        buffer = self._buffer
        if not self._headed:
            if len(buffer) < _HEAD.size:
                return
            self._head(len(buffer))
        while len(buffer) >= _PIECE.size:
            if self._ended:
                break
            length, crc = _PIECE.unpack_from(buffer)
            if length == _END_MARK:
                if not self._end():
                    return
                break
            if length > MAX_PIECE_BYTES:
                raise CorruptData(f"failed to read snapshot file: piece {self._pieces} claims {length} bytes")
            if len(buffer) < _PIECE.size + length:
                return
            piece = bytes(memoryview(buffer)[_PIECE.size : _PIECE.size + length])
            if zlib.crc32(piece, self._pieces) != crc:
                raise CorruptData(f"failed to read snapshot file: piece {self._pieces} has a bad checksum")
            self._sha.update(memoryview(buffer)[: _PIECE.size + length])
            del buffer[: _PIECE.size + length]
            self._pieces += 1
            self._bytes += length
            if self.meta is None:
                self.meta = _meta(piece)
            else:
                yield piece
        if self._ended and buffer:
            raise CorruptData("failed to read snapshot file: data after its end")

    def _head(self, size: int) -> None:
        buffer = self._buffer
        if not buffer.startswith(MAGIC) or size < _HEAD.size:
            tar = buffer[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" or buffer.startswith(b"meta.json\0")
            raise CorruptData(_FOREIGN if tar else "failed to read snapshot file: it is not one of meshagent")
        _, version, _ = _HEAD.unpack_from(buffer)
        if version != VERSION:
            raise CorruptData(
                f"failed to read snapshot file: format version {version}, this release reads {VERSION}: use a newer one"
            )
        self._sha.update(memoryview(buffer)[: _HEAD.size])
        del buffer[: _HEAD.size]
        self._headed = True

    def _end(self) -> bool:
        """Whether it is all there."""
        size = 4 + _END.size
        if len(self._buffer) < size:
            return False
        pieces, total, digest = _END.unpack_from(self._buffer, 4)
        if (pieces, total, digest) != (self._pieces, self._bytes, self._sha.digest()):
            raise CorruptData("failed to read snapshot file: its checksum does not match")
        del self._buffer[:size]
        self._ended = True
        return True


def _meta(piece: bytes) -> ArchiveMeta:
    try:
        return msgspec.msgpack.decode(piece, type=ArchiveMeta)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptData(f"failed to read snapshot file: its metadata does not decode: {error}") from None
