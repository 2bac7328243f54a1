"""I/O edge: when reads that wait may be answered from the state here: one question to the leader for all of them.

Source: Ongaro (2014), section 6.4. A read may use an answer only if the question left after the read came in. So who
comes while a question is on its way joins the next one; a few may be on their way at once.

What may be changed: `MAX_ASKING`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshagent.errors import MeshError, NoLeader, Timeout

__all__ = ["ReadGate", "pass_on"]

#: Questions of one kind on their way. With one, a read waits for up to two round trips; with two, rarely for more than
#: one and a half.
MAX_ASKING = 2


class ReadGate:
    """One kind of read. `ask()` begins a question and gives its future; it may raise a MeshError at once.

    A question that takes longer than `timeout_s` seconds has failed. Made on the running loop.
    """

    def __init__(self, ask: Callable[[], asyncio.Future[None]], *, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._ask = ask
        self._asking: dict[asyncio.Future[None], asyncio.Future[None]] = {}  # question -> who waits for it
        self._next: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    def ready(self) -> asyncio.Future[None]:
        """Done when a read that came in now may be answered. Shared: do not cancel it.

        Fails with NoLeader, Unavailable, Timeout.
        """
        ticket = self._next
        if ticket is None:
            ticket = self._next = self._loop.create_future()
            ticket.add_done_callback(_retrieve)
            self._loop.call_soon(self._send)
        return ticket

    def give_up(self) -> None:
        """There is another leader: what was asked of the old one may never be answered."""
        for question in list(self._asking):
            question.cancel()

    def _send(self) -> None:
        if self._next is None or len(self._asking) >= MAX_ASKING:
            return
        ticket, self._next = self._next, None
        try:
            question = self._ask()
        except MeshError as error:
            ticket.set_exception(error)
            return
        if question.done():
            self._settle(question, ticket)
            return
        self._asking[question] = ticket
        timer = self._loop.call_later(self.timeout_s, self._too_late, question)
        question.add_done_callback(lambda _: self._answered(question, timer))

    def _answered(self, question: asyncio.Future[None], timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        ticket = self._asking.pop(question, None)
        if ticket is not None:
            self._settle(question, ticket)
        self._send()

    def _too_late(self, question: asyncio.Future[None]) -> None:
        ticket = self._asking.pop(question, None)
        if ticket is not None:
            ticket.set_exception(Timeout("the leader did not answer in time"))
            question.cancel()

    @staticmethod
    def _settle(question: asyncio.Future[None], ticket: asyncio.Future[None]) -> None:
        if question.cancelled():
            ticket.set_exception(NoLeader())
        elif (error := question.exception()) is not None:
            ticket.set_exception(error)
        else:
            ticket.set_result(None)


def _retrieve(ticket: asyncio.Future[None]) -> None:
    """Nobody may be left to look at it."""
    if not ticket.cancelled():
        ticket.exception()


def pass_on(done: asyncio.Future[None], to: asyncio.Future[None]) -> None:
    """Let `to` end as `done` did, unless it has ended."""
    error = None if done.cancelled() else done.exception()
    if to.done():
        return
    if done.cancelled():
        to.cancel()
    elif error is not None:
        to.set_exception(error)
    else:
        to.set_result(None)
