"""I/O edge: the pieces of a longer answer, between the connection they come from and the one who reads them.

Source: ours. A reader that is too slow loses its stream, not the connection that others share.

What may be changed: `MAX_WAITING_BYTES`. Letting the sender wait instead needs a credit frame (a new type in
`frames.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque

from meshagent.errors import LocalProtocolError, Unavailable

__all__ = ["Stream"]

#: Of pieces that wait for the reader; a piece counts as at least `PIECE_BYTES`.
MAX_WAITING_BYTES = 16 << 20
PIECE_BYTES = 256


class Stream:
    """An async iterator of pieces. Towards the connection it looks like a future that takes pieces."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self._more: asyncio.Future[None] | None = None

    def put(self, piece: bytes) -> bool:
        """Take a piece; False when the reader is too slow, which ends the stream."""
        self._bytes += max(len(piece), PIECE_BYTES)
        if self._bytes > MAX_WAITING_BYTES and self._pieces:
            self.set_exception(Unavailable("the stream was given up: it was not read"))
            return False
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
            self._bytes -= max(len(piece), PIECE_BYTES)
            return piece
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration
