"""Autopilot between two looks: since when each server is as it is.

Source: developer.hashicorp.com/consul/docs/manage/scale/autopilot. Pure: what the leader sees of the servers and the
time go in, the health of all and at most one change come out. A machine begins with a leader and ends with it.

What may change here: `DEAD_FOR_S`. Judgement and decision are in `health.py` and `decisions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.autopilot.decisions import DEAD, LEFT, Promote, Remove, decide
from meshagent.catalog.autopilot.health import (
    AutopilotState,
    ServerHealth,
    ServerStats,
    ServerView,
    problem_of,
    tolerance,
)

__all__ = ["Autopilot"]

#: How long a server must have been seen dead before it is removed. After a restart of everything gossip needs a moment
#: to find all servers again; until then it knows none of them.
DEAD_FOR_S = 10.0
_UNHEARD = ServerStats(0, 0, 0)


@dataclass(slots=True)
class _Memory:
    """What is remembered of a server: since when (monotonic and wall time), and since when it is dead."""

    healthy: bool
    since_s: float
    since: datetime
    dead_s: float | None = None


class Autopilot:
    """One leader's judgement over time."""

    def __init__(self) -> None:
        self._memory: dict[str, _Memory] = {}

    def step(
        self,
        servers: Sequence[ServerView],
        config: AutopilotConfig,
        *,
        term: int,
        last_index: int,
        now: float,
        wall: datetime,
        patience: int = 0,
    ) -> tuple[AutopilotState, Promote | Remove | None]:
        """Health of `servers`, and what to change now. `now` is monotonic; `patience` as in `problem_of`."""
        self._memory = {view.id: self._memory[view.id] for view in servers if view.id in self._memory}
        found = []
        for view in sorted(servers, key=lambda each: each.id):
            problem = problem_of(view, config, term=term, last_index=last_index, patience=patience)
            found.append(self._judge(view, problem, now, wall))
        state = AutopilotState(
            healthy=bool(found) and all(server.healthy for server in found),
            failure_tolerance=tolerance(found),
            leader=next((server.id for server in found if server.leader), ""),
            servers=tuple(found),
        )
        stable_s = {id: now - memory.since_s for id, memory in self._memory.items()}
        dead = {
            id for id, memory in self._memory.items() if memory.dead_s is not None and now - memory.dead_s >= DEAD_FOR_S
        }
        return state, decide(found, config, stable_s=stable_s, dead=dead)

    def _judge(self, view: ServerView, problem: str, now: float, wall: datetime) -> ServerHealth:
        healthy = not problem
        memory = self._memory.get(view.id)
        if memory is None or memory.healthy != healthy:
            dead_s = None if memory is None else memory.dead_s
            memory = self._memory[view.id] = _Memory(healthy, now, wall, dead_s)
        if not _is_dead(view):
            memory.dead_s = None
        elif memory.dead_s is None:
            memory.dead_s = now
        stats = view.stats or _UNHEARD
        return ServerHealth(
            id=view.id,
            name=view.name,
            address=view.address,
            voter=view.voter,
            leader=view.leader,
            status=view.status,
            version=view.version,
            meta=dict(view.meta),
            last_contact=stats.last_contact or 0,
            last_term=stats.last_term,
            last_index=stats.last_index,
            healthy=healthy,
            stable_since=memory.since,
            reason=problem,
        )


def _is_dead(view: ServerView) -> bool:
    """Whether it is gone by all we know: one that gossip has lost but that answers is cut off from gossip alone."""
    return view.status == LEFT or (view.status in DEAD and view.stats is None)
