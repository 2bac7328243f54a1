"""I/O edge: a disk whose cache dies with the process: kill -9 takes what was not synced, as a power loss does.

A real process's writes survive its death in the page cache, so no kill shows a missing fdatasync. Here bytes wait in
the process and reach the file with `sync`. Names (creations, renames) last at once: only data is forgotten.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from meshagent.catalog.raft.disk import DiskFile, FileDisk


class _File:
    def __init__(self, real: DiskFile, *, lying: bool) -> None:
        self._real = real
        self._lying = lying
        self.closed = False
        self.waiting: list[tuple[str, int, bytes]] = []

    def write(self, offset: int, data: bytes) -> None:
        self.waiting.append(("write", offset, bytes(data)))

    def truncate(self, size: int) -> None:
        self.waiting.append(("truncate", size, b""))

    def sync(self) -> None:
        if not self._lying:
            self._flush()

    def _flush(self) -> None:
        for what, number, data in self.waiting:
            if what == "write":
                self._real.write(number, data)
            else:
                self._real.truncate(number)
        self.waiting.clear()

    def close(self) -> None:
        if not self.waiting:
            self.closed = True
            self._real.close()


class VolatileDisk(FileDisk):
    lying = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._files: dict[str, _File] = {}

    def _open(self, name: str, flags: int) -> DiskFile:
        known = self._files.get(name)
        if known is not None and not known.closed and not flags & os.O_TRUNC:
            return known
        self._files[name] = _File(super()._open(name, flags), lying=self.lying and name.endswith(".log"))
        return self._files[name]

    def read(self, name: str) -> bytes:
        data = bytearray(super().read(name))
        for what, number, piece in self._files[name].waiting if name in self._files else ():
            if what == "truncate":
                del data[number:]
                data.extend(bytes(max(0, number - len(data))))
            else:
                data.extend(bytes(max(0, number - len(data))))
                data[number : number + len(piece)] = piece
        return bytes(data)

    def reader(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name))

    def rename(self, old: str, new: str) -> None:
        super().rename(old, new)
        if old in self._files:
            self._files[new] = self._files.pop(old)
        else:
            self._files.pop(new, None)

    def remove(self, name: str) -> None:
        super().remove(name)
        self._files.pop(name, None)


class LyingDisk(VolatileDisk):
    """`sync` of the log is not called. (Without that of the vote too, a server finds its vote file torn and refuses to
    start, which is caught sooner but shows less.)"""

    lying = True
