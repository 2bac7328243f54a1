"""One run of one simulated process: what it schedules runs while it lives, and each piece of it is a numbered step.

Whatever a process does begins with a call of the event loop: a task goes on behind an `await`, a timer fires, bytes or
an answer of the disk come in. The loop asks the `Life` in the call's context before it runs it. So a process that dies
at step N has done everything before, and nothing of it happens any more: no `finally`, no goodbye, no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Life:
    """`die_at`: the step before which `on_death` is called instead. `after` is called behind every step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.steps = 0
        self.die_at: int | None = None
        self.on_death: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self.context = Context()
        self.context.run(LIFE.set, self)
        self.beginning: asyncio.Future[Any] | None = None
        self._asleep: list[tuple[Context, Callable[..., Any], tuple[Any, ...]]] = []

    def step(self, call: Callable[..., Any], *args: Any) -> None:
        """Run `call` if this process lives; later, if it is stopped."""
        if self.paused or not self.alive:  # of the dead, too: the simulator ends their tasks when all is over
            self._asleep.append((copy_context(), call, args))
            return
        self.steps += 1
        if self.steps == self.die_at:
            self._asleep.append((copy_context(), call, args))
            self.on_death()
            return
        call(*args)
        self.after()

    def run(self, call: Callable[..., Any], *args: Any) -> None:
        """Something comes in from outside."""
        self.context.copy().run(self.step, call, *args)

    def ask(self, make: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        """What `make` gives in this process; never done if it dies before."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def begin() -> None:
            asyncio.ensure_future(make()).add_done_callback(lambda done: _pass_on(done, answer))

        self.run(begin)
        return answer

    def resume(self) -> None:
        """Go on with what waited. The simulator, at its end, revives the dead so that their tasks end in order."""
        self.paused = False
        asleep, self._asleep = self._asleep, []
        for context, call, args in asleep:
            asyncio.get_running_loop().call_soon(call, *args, context=context)


def _pass_on(done: asyncio.Future[Any], answer: asyncio.Future[Any]) -> None:
    error = None if done.cancelled() else done.exception()
    if answer.done():
        return
    if done.cancelled():
        answer.cancel()
    elif error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
