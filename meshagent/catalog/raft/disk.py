"""I/O edge: the few things the journal asks of a disk, and the real one.

Source: POSIX. What a write, a rename or a new name survives is only what `sync` and `sync_names` say: a simulated
disk may lose, tear or reorder everything else, and the recovery tests do so.

All calls may block and raise OSError: they run on a worker thread (`worker.py`), except while a server starts.
What may be changed: keep it this small, so that a simulator stays easy to write.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO, Protocol

from meshagent.errors import Unavailable

__all__ = ["Disk", "DiskFile", "FileDisk"]


class DiskFile(Protocol):
    """A file open for writing."""

    def write(self, offset: int, data: bytes) -> None:
        """All of `data`, at `offset`."""

    def sync(self) -> None:
        """Return when all that was written, and the size, is on disk."""

    def truncate(self, size: int) -> None: ...

    def close(self) -> None: ...


class Disk(Protocol):
    """One flat directory."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def reader(self, name: str) -> BinaryIO: ...

    def create(self, name: str) -> DiskFile:
        """A new, empty file; an old one of that name is gone."""

    def open(self, name: str) -> DiskFile: ...

    def rename(self, old: str, new: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def sync_names(self) -> None:
        """Return when all creations, renames and removals are on disk."""

    def path(self, name: str) -> str:
        """For messages."""

    def close(self) -> None: ...


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, offset: int, data: bytes) -> None:
        done = os.pwrite(self._fd, data, offset)
        while done < len(data):  # a nearly full disk takes a part first, and then says ENOSPC
            done += os.pwrite(self._fd, data[done:], offset + done)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        os.close(self._fd)


class FileDisk:
    """A directory of this machine, held by one process at a time; files 0600, the directory 0700."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise Unavailable(f"{directory}: in use by another process: stop that one first") from None

    def names(self) -> list[str]:
        return sorted(os.listdir(self._directory))

    def read(self, name: str) -> bytes:
        return (self._directory / name).read_bytes()

    def reader(self, name: str) -> BinaryIO:
        return open(self._directory / name, "rb")

    def create(self, name: str) -> DiskFile:
        return self._open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def open(self, name: str) -> DiskFile:
        return self._open(name, os.O_RDWR)

    def _open(self, name: str, flags: int) -> DiskFile:
        return _File(os.open(name, flags | os.O_CLOEXEC, 0o600, dir_fd=self._fd))

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._fd)

    def sync_names(self) -> None:
        os.fsync(self._fd)

    def path(self, name: str) -> str:
        return str(self._directory / name)

    def close(self) -> None:
        os.close(self._fd)  # lets go of the lock
