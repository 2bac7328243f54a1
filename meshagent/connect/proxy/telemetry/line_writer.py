"""I/O edge: lines of an access log to standard output, standard error or a file, off the event loop.

Lines are gathered for a moment and written by a thread. Who writes too slowly loses lines, which are counted, never
requests. A file that was renamed (log rotation) is opened anew.

Source: surface row M22 (`AccessLogs`: Type, Path). What may change here: how much is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from meshagent.clock import Clock, Tasks

__all__ = ["LineWriter"]

log = logging.getLogger("proxy.accesslog")

#: Lines that wait for a slow disk at most, and how long lines are gathered.
_MOST_LINES = 10_000
_GATHER_S = 0.1
_STREAMS = {"": 1, "stdout": 1, "stderr": 2}


class LineWriter:
    """`write` never waits."""

    def __init__(self, kind: str, path: str, clock: Clock, tasks: Tasks) -> None:
        """`kind` is stdout, stderr or file."""
        self._kind = kind
        self._path = path
        self._clock = clock
        self._tasks = tasks
        self._lines: list[str] = []
        self._writing: asyncio.Task[None] | None = None
        self._file = -1
        self._broken = ""
        self.dropped = 0

    def write(self, line: str) -> None:
        """Take a line, with its end."""
        if len(self._lines) >= _MOST_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._writing is None:
            self._writing = self._tasks.start(self._write_all(), name="access log")

    async def close(self) -> None:
        """Write what is left."""
        if self._lines:
            await asyncio.get_running_loop().run_in_executor(None, self._put, self._taken())
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def _write_all(self) -> None:
        try:
            while self._lines:
                await self._clock.sleep(_GATHER_S)
                await asyncio.get_running_loop().run_in_executor(None, self._put, self._taken())
        finally:
            self._writing = None

    def _taken(self) -> bytes:
        lines, self._lines = self._lines, []
        return "".join(lines).encode("utf-8", "replace")

    def _put(self, data: bytes) -> None:
        try:
            to = _STREAMS.get(self._kind)
            handle = to if to is not None else self._opened()
            while data:
                data = data[os.write(handle, data) :]
            self._broken = ""
        except OSError as error:
            self.dropped += data.count(b"\n")
            if str(error) != self._broken:
                self._broken = str(error)
                log.warning("the access log cannot be written: path=%s error=%s", self._path, error)

    def _opened(self) -> int:
        if self._file >= 0:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                    return self._file
            os.close(self._file)
            self._file = -1
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file
