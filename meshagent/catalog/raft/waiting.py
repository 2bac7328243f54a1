"""I/O edge: who waits for the log: a read to be confirmed, a change of members, an entry to be applied here.

Source: Ongaro (2014), sections 6.4 (reads confirmed by a quorum) and 4.1 (changes of members).

What may be changed: each kind has its own row of waiters and its own condition; all are looked at after every tick, so
a condition must be cheap.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from itertools import count

from meshagent.errors import MeshError

__all__ = ["Waiting", "again"]

Waiter = asyncio.Future[None]


def again(error: MeshError) -> MeshError:
    """The same error for one more who waits: raising one object many times would grow its traceback without end."""
    return error.__class__(str(error))


class Waiting:
    """Futures by what they wait for; made on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._barriers: deque[tuple[int, int, Waiter]] = deque()  # (round, entry)
        self._changes: deque[tuple[int, Waiter]] = deque()  # (entry that must be committed)
        self._applied: list[tuple[int, int, Waiter]] = []  # a heap of (entry, order of asking)
        self._order = count()

    def __bool__(self) -> bool:
        return bool(self._barriers or self._changes or self._applied)

    def barrier(self, round_: int, index: int) -> Waiter:
        """Done when a quorum answered round `round_` and entry `index` is applied."""
        future: Waiter = self._loop.create_future()
        self._barriers.append((round_, index, future))
        return future

    def change(self, index: int) -> Waiter:
        """Done when entry `index`, the newest change of members, is committed."""
        future: Waiter = self._loop.create_future()
        self._changes.append((index, future))
        return future

    def applied(self, index: int) -> Waiter:
        """Done when entry `index` is applied here."""
        future: Waiter = self._loop.create_future()
        heapq.heappush(self._applied, (index, next(self._order), future))
        return future

    def confirmed(self, round_: int, applied: int) -> None:
        """A quorum answered round `round_`."""
        barriers = self._barriers
        while barriers and barriers[0][0] <= round_ and barriers[0][1] <= applied:
            _tell(barriers.popleft()[2])

    def settle(self, *, committed: int, applied: int) -> None:
        """The log came this far."""
        while self._changes and self._changes[0][0] <= committed:
            _tell(self._changes.popleft()[1])
        while self._applied and self._applied[0][0] <= applied:
            _tell(heapq.heappop(self._applied)[2])

    def deposed(self, error: MeshError) -> None:
        """This server leads no more: what only a leader knows will not be known here."""
        futures = [barrier[2] for barrier in self._barriers] + [change[1] for change in self._changes]
        self._barriers.clear()
        self._changes.clear()
        _fail(futures, error)

    def ended(self, error: MeshError) -> None:
        """Nothing will be applied here any more."""
        futures = [waiter[2] for waiter in self._applied]
        self._applied.clear()
        _fail(futures, error)
        self.deposed(error)


def _tell(future: Waiter) -> None:
    if not future.done():
        future.set_result(None)


def _fail(futures: list[Waiter], error: MeshError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(again(error))
