"""An event loop in which time passes only by jumping to the next timer; no selector, no threads, no wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any


class Stuck(AssertionError):
    """Nothing is ready and no timer is set: what waits would wait for ever."""


class SimLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.steps = 0
        self._selector = self
        self._clock_resolution = 1e-7

    def time(self) -> float:
        return self.elapsed

    def select(self, timeout: float | None) -> list[Any]:
        self.steps += 1
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.elapsed += timeout
        return []

    def _process_events(self, events: list[Any]) -> None:
        return

    def _write_to_self(self) -> None:
        return


def run_sim(main: Coroutine[Any, Any, Any]) -> Any:
    """The result of `main`, and nothing of it left."""
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.close()
        asyncio.set_event_loop(None)


class SkewedClock:
    """One server's clock: it runs at `rate` and began at `offset`."""

    def __init__(self, rate: float = 1.0, offset: float = 0.0) -> None:
        self._rate = rate
        self._offset = offset

    def monotonic(self) -> float:
        return self._offset + self._rate * asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(max(0.0, delay_s / self._rate))
