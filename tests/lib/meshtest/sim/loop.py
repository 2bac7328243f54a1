"""An event loop in which time passes only by jumping to the next timer; no selector, no threads, no wall clock.

It knows the simulated processes (`lives.py`): what one has scheduled runs only while that one lives. `wire` is what
`create_connection` connects through.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

from meshtest.sim.lives import LIFE, Life

RESOLUTION_S = 1e-7
#: A sleep moves the time: one of a rounding error's length would end where it began, and be begun again, for ever.
LEAST_S = 10 * RESOLUTION_S


class Stuck(AssertionError):
    """Nothing is ready and no timer is set: what waits would wait for ever."""


class SimLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.steps = 0
        self.wire: Any = None
        self.lives: set[Life] = set()
        self.broken: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # asyncio keeps weak ones; those of the dead must not be collected
        self._selector = self
        self._clock_resolution = RESOLUTION_S
        self.set_task_factory(self._make_task)

    def _make_task(self, _: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=self, **options)
        if LIFE.get() is not None or options:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard, context=Context())
        return task

    def time(self) -> float:
        return self.elapsed

    def select(self, timeout: float | None) -> list[Any]:
        self.steps += 1
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.elapsed += timeout
        return []

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        context = copy_context() if context is None else context
        life = context.get(LIFE)
        if life is None:
            return super().call_soon(callback, *args, context=context)
        self.lives.add(life)
        return super().call_soon(life.step, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        life = context.get(LIFE)
        if life is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, life.step, callback, *args, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A check that fails in a callback ends the simulation."""
        error = context.get("exception")
        if isinstance(error, AssertionError) and self.broken is None:
            self.broken = error
            self.stop()
        elif "was destroyed" not in context["message"]:
            super().call_exception_handler(context)

    async def create_connection(self, protocol_factory: Any, host: Any = None, *_: Any, **__: Any) -> Any:
        return await self.wire.connect(protocol_factory, host)

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
    except RuntimeError:
        if loop.broken is not None:
            raise loop.broken from None
        raise
    finally:
        for life in loop.lives:
            life.alive, life.die_at, life.after = True, None, _nothing
            loop.call_soon(life.resume)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.broken = AssertionError("it is over")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # coroutines that will never be awaited
            loop.run_until_complete(asyncio.sleep(0.001))
        loop.close()
        asyncio.set_event_loop(None)


def _nothing() -> None:
    return


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
        delay_s /= self._rate
        await asyncio.sleep(max(LEAST_S, delay_s) if delay_s > 0 else 0.0)
