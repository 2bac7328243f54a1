"""I/O edge: the pieces of a longer answer, between the connection they come from and the one who reads them.

Source: ours; windows as HTTP/2 has them (RFC 9113, section 5.2), for each stream alone. One that was asked for with a
window is told what was read, and its sender waits. Without one (a feed, whose pieces others wait behind; a server that
knows no windows) a reader that is too slow loses its stream, not the connection that others share.

What may be changed: `MAX_WAITING_BYTES`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from meshagent.catalog.rpc.frames import weight
from meshagent.errors import LocalProtocolError, Unavailable

__all__ = ["Stream"]

#: Of pieces that wait for the reader.
MAX_WAITING_BYTES = 16 << 20
#: What was read is told when it makes such a part of the window.
TOLD_PART = 4


class Stream:
    """An async iterator of pieces. Towards the connection it looks like a future that takes pieces.

    `on_read(size)` is called with what was read of a stream with a window.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, window: int = 0, on_read: Callable[[int], None] | None = None
    ) -> None:
        self._loop = loop
        self._on_read = on_read
        self._tell_at = max(1, window // TOLD_PART)
        self._untold = 0
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self._more: asyncio.Future[None] | None = None

    def put(self, piece: bytes) -> bool:
        """Take a piece; False when the reader is too slow, which ends the stream."""
        if self._bytes >= MAX_WAITING_BYTES:
            self.set_exception(Unavailable("the stream was given up: it was not read"))
            return False
        self._bytes += weight(piece)
        self._pieces.append(piece)
        self._wake()
        return True

    def end(self) -> None:
        """There are no more pieces."""
        self._ended = True
        self._wake()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def set_result(self, _: bytes) -> None:
        """A single answer came."""
        self.set_exception(LocalProtocolError("the server gave one answer where a stream was asked for"))

    def set_exception(self, error: BaseException) -> None:
        """It breaks, after the pieces that are already here."""
        self._error = self._error or error
        self.end()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces and not self._ended:
            self._more = self._loop.create_future()
            await self._more
        if self._pieces:
            piece = self._pieces.popleft()
            self._bytes -= weight(piece)
            self._read(weight(piece))
            return piece
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    def _read(self, size: int) -> None:
        self._untold += size
        if self._on_read is not None and self._untold >= self._tell_at:
            told, self._untold = self._untold, 0
            self._on_read(told)
