"""I/O edge: the watches of the configuration, each a task that reads, compares and hands over.

Source: surface rows G40, G41, G4 (a reload replaces all). Reads go to this agent's own API without a socket, so that a
watch is answered from the same views as everybody else. What may change here: nothing that a handler could notice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from meshagent.agent.watches.follow import Change, Follower
from meshagent.agent.watches.handlers import handle
from meshagent.clock import Clock, Tasks
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.config.watches import Watch

__all__ = ["Ask", "WatchRunner"]

log = logging.getLogger("agent.watch")

#: (target, token) -> status, headers in lower case, body.
Ask = Callable[[str, str], Awaitable[tuple[int, Mapping[str, str], bytes]]]


class WatchRunner:
    """Runs the watches given to `configure`; `ask` reads this agent's API."""

    def __init__(self, ask: Ask, clock: Clock, hand_over: Callable[[Watch, Change], Awaitable[None]] = handle) -> None:
        self._ask = ask
        self._clock = clock
        self._hand_over = hand_over
        self._tasks = Tasks()

    async def configure(self, watches: Sequence[Watch]) -> None:
        """End the watches that run, and run these."""
        await self._tasks.cancel()
        for watch in watches:
            self._tasks.start(self._follow(watch), name=f"watch {watch.type}")

    async def stop(self) -> None:
        """End all; programs that run are killed."""
        await self._tasks.cancel()

    async def _follow(self, watch: Watch) -> None:
        follower = Follower(watch)
        while True:
            try:
                change = follower.take(*await self._ask(follower.target, watch.token))
            except MeshError as error:
                pause_s = follower.failed()
                log.error("watch failed: type=%s error=%s retry=%gs", watch.type, error, pause_s)
                await self._clock.sleep(pause_s)
                continue
            if change is None:
                continue
            try:
                await self._hand_over(watch, change)
            except MeshError as error:
                log.error("watch handler failed: type=%s error=%s", watch.type, error)
