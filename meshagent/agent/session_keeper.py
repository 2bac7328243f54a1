"""The leader's clocks for sessions: which ones run out, and which freed keys may not be locked yet.

Source: surface rows E5, E7. It brings the pure `SessionTimers` and `LockDelays` together with the store, the clock and
the log. Neither is replicated: a new leader starts all timers in full, and has measured the delays by its own clock.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from meshagent.agent.session_ttl import SessionTimers
from meshagent.catalog.commands import SessionDestroy
from meshagent.catalog.lock_delay import LockDelays
from meshagent.catalog.model import Session
from meshagent.catalog.store import Store
from meshagent.clock import Clock
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["SessionKeeper"]

log = logging.getLogger("agent.server.session")

#: How often it looks which sessions there are. Twice the shortest TTL is longer.
STEP_S = 1.0


class SessionKeeper:
    """Keeps time for the sessions of `store`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._delays = LockDelays()
        self._timers = SessionTimers()
        self._leading = False
        self._seen = -1
        store.sessions.on_freed = self._freed
        store.sessions.report()

    def delayed(self, key: str) -> bool:
        """Whether `key` may not be locked yet: the session that held it was lost a moment ago."""
        return self._delays.blocks(key, self._clock.monotonic())

    def renew(self, session: Session) -> None:
        """Its client is alive: the session's time runs in full again. Only a leader's timers run."""
        if self._leading:
            self._timers.renew(session, self._clock.monotonic())

    async def lead(self, agent: Agent) -> None:
        """A leader's duty: end the sessions whose time has run out. It begins by giving each its time in full."""
        self._timers.restart(self._store.sessions.with_ttl, self._clock.monotonic())
        self._seen = self._store.sessions.index
        self._leading = True
        try:
            while True:
                for session_id in self.step():
                    agent.tasks.start(self._end(agent, session_id), name="session ttl")
                now, at = self._clock.monotonic(), self._timers.next_at()
                await self._clock.sleep(STEP_S if at is None else min(STEP_S, max(0.0, at - now)))
        finally:
            self._leading = False
            self._timers.clear()

    def step(self) -> list[str]:
        """Look at sessions and time; the ids of the sessions that are to end now."""
        now, sessions = self._clock.monotonic(), self._store.sessions
        if self._seen != sessions.index:
            self._timers.follow(sessions.with_ttl, now)
        self._seen = sessions.index
        return self._timers.due(now)

    async def _end(self, agent: Agent, session_id: str) -> None:
        started = self._clock.monotonic()
        try:
            await agent.write_as_leader(SessionDestroy(session_id))
        except MeshError as error:
            log.warning("session TTL expired, but it could not be ended yet: session=%s error=%s", session_id, error)
        else:
            log.debug("session TTL expired: session=%s", session_id)
        agent.metrics.measure("session_ttl.invalidate", started)

    def _freed(self, freed: Mapping[str, int]) -> None:
        self._delays.start(freed, self._clock.monotonic())
