"""I/O edge: looks now and then for connections of a sidecar over which nothing passes.

Source: `idle.py`; decision 13 of README.md. What may change here: how often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.idle import step_s
from meshagent.connect.proxy.pump import IDLE_TIMEOUT_S
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["EndingIdle"]


class EndingIdle:
    """Asks the listeners of one sidecar to end what is idle, those that have such connections."""

    def __init__(self, clock: Clock, tasks: Tasks, listeners: Callable[[], Iterable[object]]) -> None:
        self._clock = clock
        self._tasks = tasks
        self._listeners = listeners
        self._task: asyncio.Task[None] | None = None
        self._step_s = 0.0

    def follow(self, snapshot: ProxySnapshot) -> None:
        """Look as often as the shortest limit needs it."""
        limits_ms = [one.idle_timeout_ms for one in (snapshot.inbound, *snapshot.outbound) if one is not None]
        step = step_s(IDLE_TIMEOUT_S if limit is None else limit / 1000.0 for limit in limits_ms)
        if step == self._step_s:
            return
        self._step_s = step
        if self._task is not None:
            self._task.cancel()
        self._task = self._tasks.start(self._end(step), name="idle connections")

    async def _end(self, step: float) -> None:
        while True:
            await self._clock.sleep(step)
            now = self._clock.monotonic()
            for listener in self._listeners():
                end_idle = getattr(listener, "end_idle", None)  # not those of HTTP that end idle connections themselves
                if end_idle is not None:
                    end_idle(now)
