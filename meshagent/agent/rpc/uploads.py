"""I/O edge: bodies that are too large for one frame: they come in parts, each taken before the next is sent.

Source: ours; surface row SN2 (a snapshot to restore may have gigabytes). The parts of one upload come over one
connection. The request begins with the first; whatever answer there is ends it, also before the last part.

What may be changed: sizes and times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from meshagent.agent.rpc.messages import Forwarded, Part
from meshagent.clock import Tasks
from meshagent.errors import BadRequest, Timeout, Unavailable

__all__ = ["MAX_UPLOADS", "PART_BYTES", "Uploads"]

#: What a client sends at once.
PART_BYTES = 1 << 20
#: Uploads at the same time, of all clients together.
MAX_UPLOADS = 8
#: How long the next part may take.
PART_S = 60.0

#: Serves a request whose body comes in pieces; its encoded answer.
Serve = Callable[[Forwarded, Callable[[], AsyncIterator[bytes]]], Coroutine[Any, Any, bytes]]


class Uploads:
    """The uploads of all clients of one server, by who sends them and the name they gave."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._open: dict[tuple[str, bytes], _Upload] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def take(self, node_id: str, part: Part, serve: Serve) -> bytes:
        """Take one part; b"" when the next may come, else the answer, which ends the upload.

        Raises:
            BadRequest: a part of no upload.
            Unavailable: there are too many.
        """
        key = (node_id, part.upload)
        upload = self._open.get(key)
        if part.forwarded is not None:
            if upload is not None or len(self._open) >= MAX_UPLOADS:
                raise Unavailable("too many uploads are under way")
            upload = self._open[key] = _Upload()
            upload.answer = self._tasks.start(serve(part.forwarded, upload.pieces), name="upload")
            upload.answer.add_done_callback(lambda _: self._open.pop(key, None))
        elif upload is None:
            raise BadRequest("a part of an upload that is not known, or has ended")
        return await upload.put(part.piece, last=part.last)


class _Upload:
    def __init__(self) -> None:
        self.answer: asyncio.Task[bytes]
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._taken = asyncio.Event()

    async def put(self, piece: bytes, *, last: bool) -> bytes:
        """Hand on a piece, and wait until the next is wanted, or there is an answer."""
        items: list[bytes | None] = [piece] if piece else []
        for item in [*items, None] if last else items:
            self._taken.clear()
            self._pieces.put_nowait(item)
            taken = asyncio.ensure_future(self._taken.wait())
            try:
                await asyncio.wait((taken, self.answer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                taken.cancel()
            if self.answer.done():
                return self.answer.result()
        return await asyncio.shield(self.answer) if last else b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Timeout: the client sends nothing more."""
        while True:
            try:
                async with asyncio.timeout(PART_S):
                    piece = await self._pieces.get()
            except TimeoutError:
                raise Timeout("the rest of the body did not come") from None
            self._taken.set()
            if piece is None:
                return
            yield piece
