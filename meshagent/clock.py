"""I/O edge: clocks, and the tasks that an edge starts.

Everything that needs time takes a `Clock`; tests and simulations pass `VirtualClock`. `Tasks` replaces
`asyncio.create_task`: it keeps a reference (asyncio keeps only a weak one) and reports what fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

__all__ = ["Clock", "SystemClock", "Tasks", "VirtualClock"]

log = logging.getLogger("agent.tasks")


class Clock(Protocol):
    """Monotonic seconds, wall time, and sleeping."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""

    def now(self) -> datetime:
        """Aware wall time in UTC."""

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class VirtualClock:
    """A clock that stands still until `advance` is called; sleepers wake in time order."""

    def __init__(self, start: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self._elapsed_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    async def sleep(self, delay_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        self._sleepers.append((self._elapsed_s + delay_s, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time on by `seconds`, waking each sleeper at its moment and letting the loop run between."""
        end = self._elapsed_s + seconds
        await self._settle()
        while self._sleepers and min(self._sleepers)[0] <= end:
            self._sleepers.sort(key=lambda sleeper: sleeper[:2])
            at, _, future = self._sleepers.pop(0)
            self._elapsed_s = max(self._elapsed_s, at)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self._elapsed_s = end
        await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)


class Tasks:
    """The background tasks of one owner: started by name, cancelled together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run `coroutine` in the background; a failure is logged under `name`."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task %s failed", task.get_name(), exc_info=error)

    async def cancel(self) -> None:
        """Cancel all and wait until each has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
