"""Facts about one pool for `agent/self` and `meshagent info`, under serf's names.

Source: surface row A1; serf's `Stats`. What may change here: names may be added; dashboards read them.
"""

from __future__ import annotations

from meshagent.agent.gossip.member import Status
from meshagent.agent.gossip.serf import Serf

__all__ = ["serf_stats"]


def serf_stats(serf: Serf, *, encrypted: bool) -> dict[str, str]:
    """All values are text."""
    return {
        "coordinate_resets": str(serf.placing.vivaldi.resets),
        "encrypted": "true" if encrypted else "false",
        "event_queue": str(len(serf.outbox.events)),
        "event_time": str(serf.events.clock.time),
        "failed": str(len(serf.members.in_state(Status.FAILED))),
        "health_score": str(serf.pool.health_score),
        "intent_queue": str(len(serf.outbox.intents)),
        "left": str(len(serf.members.in_state(Status.LEFT))),
        "member_time": str(serf.clock.time),
        "members": str(len(serf.members)),
        "query_queue": str(len(serf.outbox.queries)),
        "query_time": str(serf.queries.clock.time),
    }
