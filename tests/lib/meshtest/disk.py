"""A disk that loses what it may lose: the worst that POSIX allows behind `catalog.raft.disk.Disk`.

Source: Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014). Written data is certain only after `sync`
of its file, names (new, renamed, removed) only after `sync_names`. At a crash each other operation is lost, kept, or,
if it is a write, kept in part: any set of its sectors. A dead process does nothing more (`Crash` from every call).

`lying=True` makes `sync` promise without doing: the build that the recovery tests must catch.
"""

from __future__ import annotations

import errno
import io
import os
import random
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

SECTOR_BYTES = 512


class Crash(BaseException):
    """The power is gone; not an Exception, so nobody handles it by mistake."""


class _Data:
    """One file: what a reader sees, what is certain, and the operations between."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.certain = b""
        self.pending: list[tuple[int, bytes | None]] = []  # (offset, data), or (size, None) for a truncation

    def sync(self) -> None:
        self.certain = bytes(self.seen)
        self.pending.clear()

    def after_crash(self, rng: random.Random) -> None:
        kept = bytearray(self.certain)
        for offset, data in self.pending:
            fate = rng.randrange(3)
            if fate == 0:
                continue
            if data is None:
                _resize(kept, offset)
                continue
            _write(kept, offset, data) if fate == 1 else _write_some(kept, offset, data, rng)
        self.seen = kept
        self.sync()


def _resize(target: bytearray, size: int) -> None:
    if size < len(target):
        del target[size:]
    else:
        target.extend(bytes(size - len(target)))


def _write(target: bytearray, offset: int, data: bytes) -> None:
    if offset > len(target):
        _resize(target, offset)
    target[offset : offset + len(data)] = data


def _write_some(target: bytearray, offset: int, data: bytes, rng: random.Random) -> None:
    position = 0
    while position < len(data):
        end = position + SECTOR_BYTES - (offset + position) % SECTOR_BYTES
        if rng.random() < 0.5:
            _write(target, offset + position, data[position:end])
        position = end


class SimFile:
    def __init__(self, disk: SimDisk, name: str, data: _Data) -> None:
        self._disk = disk
        self._name = name
        self._data = data
        self._open = True

    def write(self, offset: int, data: bytes) -> None:
        room = self._disk.step("write", self._name, len(data))
        _write(self._data.seen, offset, data[:room])
        self._data.pending.append((offset, data[:room]))
        if room < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        self._disk.step("sync", self._name)
        if not self._disk.lying:
            self._data.sync()

    def truncate(self, size: int) -> None:
        self._disk.step("truncate", self._name)
        _resize(self._data.seen, size)
        self._data.pending.append((size, None))

    def close(self) -> None:
        assert self._open, "closed twice"
        self._open = False


class SimDisk:
    """One directory. `crash_at`: the operation (counted from 0) at which the power goes."""

    def __init__(self, *, lying: bool = False) -> None:
        self.lying = lying
        self.steps = 0
        self.crash_at: int | None = None
        self.fail: Callable[[str, str], OSError | None] = lambda operation, name: None
        self.free_bytes: int | None = None
        self.trace: list[tuple[str, str]] = []
        self._names: dict[str, _Data] = {}
        self._certain: dict[str, _Data] = {}
        self._changes: list[Callable[[dict[str, _Data]], Any]] = []

    def step(self, operation: str, name: str, size: int = 0) -> int:
        """Count one operation; how many bytes of `size` there is room for."""
        if self.crash_at is not None and self.steps >= self.crash_at:
            raise Crash
        self.steps += 1
        self.trace.append((operation, name))
        error = self.fail(operation, name)
        if error is not None:
            raise error
        if self.free_bytes is None:
            return size
        room = min(size, self.free_bytes)
        self.free_bytes -= room
        return room

    def crash(self, rng: random.Random) -> None:
        """What the next start finds."""
        names = dict(self._certain)
        for change in self._changes:
            if rng.random() < 0.5:
                change(names)
        for data in {id(data): data for data in [*names.values(), *self._names.values()]}.values():
            data.after_crash(rng)
        self._names = names
        self._certain = dict(names)
        self._changes.clear()
        self.crash_at = None
        self.steps = 0
        self.trace.clear()

    def put(self, name: str, content: bytes) -> None:
        """A file that somebody else put there, for certain."""
        data = _Data()
        data.seen = bytearray(content)
        data.sync()
        self._names[name] = self._certain[name] = data

    def flip(self, name: str, offset: int, mask: int = 0x01) -> None:
        """Damage one byte that was certain."""
        data = self._names[name]
        data.seen[offset] ^= mask
        data.certain = bytes(data.seen)

    # -- Disk

    def names(self) -> list[str]:
        return sorted(self._names)

    def read(self, name: str) -> bytes:
        return bytes(self._names[name].seen)

    def reader(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name))

    def create(self, name: str) -> SimFile:
        self.step("create", name)
        data = _Data()
        self._names[name] = data
        self._changes.append(lambda names: names.__setitem__(name, data))
        return SimFile(self, name, data)

    def open(self, name: str) -> SimFile:
        return SimFile(self, name, self._names[name])

    def rename(self, old: str, new: str) -> None:
        self.step("rename", old)
        data = self._names.pop(old)
        self._names[new] = data

        def change(names: dict[str, _Data]) -> None:
            names.pop(old, None)
            names[new] = data

        self._changes.append(change)

    def remove(self, name: str) -> None:
        self.step("remove", name)
        del self._names[name]
        self._changes.append(lambda names: names.pop(name, None))

    def sync_names(self) -> None:
        self.step("sync_names", "")
        if not self.lying:
            self._certain = dict(self._names)
            self._changes.clear()

    def path(self, name: str) -> str:
        return f"/sim/raft/{name}"

    def close(self) -> None:
        return

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())
