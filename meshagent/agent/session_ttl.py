"""When sessions with a time to live end.

Source: surface row E5; developer.hashicorp.com/consul/docs/dynamic-app-config/sessions. The TTL is a lower bound: a
timer runs for twice as long, so a session never ends early, also when its renewal was on its way. A renewal is no
command: the leader's timer starts again. A server that becomes leader starts all timers in full.

Pure: time comes in as monotonic seconds, ids of sessions that are to end come out. `session_keeper.py` drives it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from meshagent.catalog.model import Session
from meshagent.durations import parse_duration

__all__ = ["SessionTimers"]

#: A timer runs for this many times the TTL (surface row E5).
GRACE = 2
#: A session that is still there so long after it was due is reported again: ending it failed.
AGAIN_S = 5.0


class SessionTimers:
    """One timer for each session with a time to live."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        # One entry for each session, put back when it turns out that the session has been renewed since.
        self._queue: list[tuple[float, str]] = []

    def restart(self, sessions: Mapping[str, Session], now: float) -> None:
        """This server leads from now on: every timer runs in full."""
        self.clear()
        self.follow(sessions, now)

    def clear(self) -> None:
        """This server does not lead: no timer runs."""
        self._ends.clear()
        self._queue.clear()

    def follow(self, sessions: Mapping[str, Session], now: float) -> None:
        """`sessions` are those that have a TTL now: start timers for new ones, stop those of the others."""
        for session_id in self._ends.keys() - sessions.keys():
            del self._ends[session_id]
        for session_id in sessions.keys() - self._ends.keys():
            self.renew(sessions[session_id], now)

    def renew(self, session: Session, now: float) -> None:
        """Start the session's timer again. Without a TTL it has none."""
        ttl_s = _ttl_s(session)
        if ttl_s > 0:
            self._set(session.id, now + GRACE * ttl_s)

    def due(self, now: float) -> list[str]:
        """The sessions that are to end, each once in `AGAIN_S` until `follow` no longer finds it."""
        ended = []
        while self._queue and self._queue[0][0] <= now:
            _, session_id = heapq.heappop(self._queue)
            end = self._ends.get(session_id)
            if end is None:
                continue
            if end <= now:
                ended.append(session_id)
                end = self._ends[session_id] = now + AGAIN_S
            heapq.heappush(self._queue, (end, session_id))
        return ended

    def next_at(self) -> float | None:
        """When `due` may have something to say, or None."""
        return self._queue[0][0] if self._queue else None

    def __len__(self) -> int:
        """How many timers run."""
        return len(self._ends)

    def _set(self, session_id: str, end: float) -> None:
        if session_id not in self._ends:
            heapq.heappush(self._queue, (end, session_id))
        self._ends[session_id] = end


def _ttl_s(session: Session) -> float:
    try:
        return parse_duration(session.ttl) / 1e9 if session.ttl else 0.0
    except ValueError:  # a log written by somebody else: such a session only ends by other ways
        return 0.0
