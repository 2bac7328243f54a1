"""I/O edge: large bodies on disk while they pass through: written as they come, read back in pieces, gone at the end.

Source: design.md "Bad input" (bounded sizes before allocating). The files have no name (they are removed as soon as
they are open), so nothing of them is left after a crash and nobody else can open them; their mode is 0600. Every
access to the disk runs on a thread.

What may be changed: the limits, with a reason.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TypeVar

from meshagent.clock import Clock
from meshagent.errors import NotFound, TooLarge, Unavailable

__all__ = ["PIECE_BYTES", "Spool", "Spools"]

T = TypeVar("T")

PIECE_BYTES = 1 << 20
#: A spool must leave the disk this much, or a sixteenth of it when that is less: the log is on the same one.
RESERVE_BYTES = 256 << 20
RESERVE_SHARE = 16
#: Spools that others hold by a ticket, and how long one may lie untouched.
MAX_TICKETS = 8
TICKET_S = 120.0


class Spool:
    """One file. `directory` None is the system's for temporary files."""

    def __init__(self, directory: Path | None = None) -> None:
        self.size = 0
        self.info: bytes = b""
        """Whatever who made it wants to say of it."""
        self._directory = directory
        self._file: IO[bytes] | None = None

    async def expect(self, size: int) -> None:
        """So much is to come. Raises TooLarge when the disk has no room for it, Unavailable when it cannot be used."""
        await self._run(lambda file: self._room(file, size))

    async def write(self, data: bytes) -> None:
        """Append. Raises TooLarge, Unavailable."""
        await self._run(lambda file: self._append(file, data))

    async def read(self, offset: int, length: int = PIECE_BYTES) -> bytes:
        """Up to `length` bytes from `offset`, none at the end. Raises Unavailable."""
        return await self._run(lambda file: os.pread(file.fileno(), length, offset))

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it."""
        offset = 0
        while piece := await self.read(offset):
            offset += len(piece)
            yield piece

    def close(self) -> None:
        """Give the room back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _run(self, work: Callable[[IO[bytes]], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(None, lambda: work(self._opened()))
        except (OSError, ValueError) as error:
            raise Unavailable(f"the snapshot cannot be kept on disk meanwhile: {error}") from error

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            import tempfile  # brings archives and chance with it: most bodies stay in memory

            self._file = tempfile.TemporaryFile(dir=self._directory, prefix="spool-")  # noqa: SIM115
        return self._file

    def _append(self, file: IO[bytes], data: bytes) -> None:
        if self.size // RESERVE_BYTES != (self.size + len(data)) // RESERVE_BYTES or not self.size:
            self._room(file, len(data))
        file.seek(self.size)
        file.write(data)
        file.flush()
        self.size += len(data)

    def _room(self, file: IO[bytes], size: int) -> None:
        disk = os.fstatvfs(file.fileno())
        free = disk.f_bavail * disk.f_frsize
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_SHARE)
        if size > free - reserve:
            raise TooLarge(f"the snapshot needs {size} bytes; the disk has {max(0, free - reserve)} to spare")


class Spools:
    """Spools that other servers use, by ticket: unguessable, and given up when nobody comes for them."""

    def __init__(self, directory: Path | None, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock
        self._held: dict[str, tuple[float, Spool]] = {}

    def make(self) -> Spool:
        """A new one, for oneself."""
        return Spool(self.directory)

    def lend(self, spool: Spool) -> str:
        """Keep it for whoever has the ticket. Raises Unavailable when there are too many."""
        self._expire()
        if len(self._held) >= MAX_TICKETS:
            spool.close()
            raise Unavailable("too many snapshots are on their way: try again later")
        ticket = os.urandom(16).hex()
        self._held[ticket] = (self._clock.monotonic() + TICKET_S, spool)
        return ticket

    def get(self, ticket: str) -> Spool:
        """The spool of a ticket, which lives on. Raises NotFound."""
        self._expire()
        found = self._held.get(ticket)
        if found is None:
            raise NotFound("the snapshot is not here any more: the leader has changed, or it was idle for too long")
        self._held[ticket] = (self._clock.monotonic() + TICKET_S, found[1])
        return found[1]

    def take(self, ticket: str) -> Spool:
        """The spool, no longer kept. Raises NotFound."""
        spool = self.get(ticket)
        del self._held[ticket]
        return spool

    def drop(self, ticket: str) -> None:
        """Give it up, if it is there."""
        found = self._held.pop(ticket, None)
        if found is not None:
            found[1].close()

    def close(self) -> None:
        """Give all up."""
        for ticket in list(self._held):
            self.drop(ticket)

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for ticket, (until, _) in list(self._held.items()):
            if now >= until:
                self.drop(ticket)
