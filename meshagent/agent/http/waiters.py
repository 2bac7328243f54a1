"""I/O edge: blocking queries that wait in the event loop for a view to change.

Source: surface row C12. What may change here: how a wait is timed. A waiter is woken only by an index above its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Waiters"]


class Waiters:
    """Those who wait on one view."""

    __slots__ = ("_due", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._due = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self, index: int, timeout_s: float) -> None:
        """Return when `wake` is called with more than `index`, or after `timeout_s` seconds; raise what `fail` says."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[waiter] = index
        timer = loop.call_later(timeout_s, _end, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.pop(waiter, None)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the next round of the loop, once however often this is asked before."""
        if not self._due:
            self._due = True

            def run() -> None:
                self._due = False
                callback()

            asyncio.get_running_loop().call_soon(run)

    def wake(self, index: int) -> None:
        """The index is `index` now."""
        for waiter, known in self._waiting.items():
            if index > known:
                _end(waiter)

    def release(self) -> None:
        """Nobody is to wait any longer, whatever the index."""
        for waiter in self._waiting:
            _end(waiter)

    def fail(self, error: Exception) -> None:
        """There is no answer any more."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
