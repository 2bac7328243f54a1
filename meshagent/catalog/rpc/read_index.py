"""I/O edge: how far this server must have applied before it may answer a read: the leader says, for all who wait.

Source: Ongaro (2014), section 6.4. A read may use an answer only if the question left after the read came in. So who
comes while a question is on its way joins the next one; a few may be on their way at once.

What may be changed: `MAX_ASKING`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshagent.catalog.rpc.writes import READ_INDEX, decode_index, encode_read
from meshagent.errors import MeshError

__all__ = ["ReadIndex"]

#: Questions of one kind on their way. With one, a read waits for up to two round trips; with two, rarely for more than
#: one and a half.
MAX_ASKING = 2

Ask = Callable[[str, bytes], "asyncio.Future[bytes]"]


class ReadIndex:
    """One kind of read. `ask(method, payload)` asks the leader; it may raise a MeshError."""

    def __init__(self, ask: Ask, *, consistent: bool) -> None:
        self._ask = ask
        self._payload = encode_read(consistent=consistent)
        self._asking = 0
        self._next: asyncio.Future[int] | None = None
        self._loop = asyncio.get_running_loop()

    async def get(self) -> int:
        """The index. Raises NoLeader, Unavailable, Timeout."""
        if self._next is None:
            self._next = self._loop.create_future()
            self._next.add_done_callback(_retrieve)
            self._loop.call_soon(self._send)
        return await asyncio.shield(self._next)

    def _send(self) -> None:
        if self._next is None or self._asking >= MAX_ASKING:
            return
        ticket, self._next = self._next, None
        try:
            question = self._ask(READ_INDEX, self._payload)
        except MeshError as error:
            ticket.set_exception(error)
            return
        self._asking += 1
        question.add_done_callback(lambda done: self._answered(done, ticket))

    def _answered(self, question: asyncio.Future[bytes], ticket: asyncio.Future[int]) -> None:
        self._asking -= 1
        try:
            ticket.set_result(decode_index(question.result()))
        except MeshError as error:
            ticket.set_exception(error)
        except asyncio.CancelledError:
            ticket.cancel()
        self._send()


def _retrieve(ticket: asyncio.Future[int]) -> None:
    """Nobody may be left to look at it."""
    if not ticket.cancelled():
        ticket.exception()
