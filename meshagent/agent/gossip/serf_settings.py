"""serf's parameters.

Source: surface row S48: Consul's values where they differ from serf's own. What may change here: a new one has a
default that keeps what is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["SerfSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SerfSettings:
    """How one member of a pool behaves; times in seconds, sizes in bytes."""

    gossip_interval_s: float = 0.2
    """memberlist's; a query's default time follows from it."""
    retransmit_mult: int = 4
    reap_interval_s: float = 15.0
    reconnect_interval_s: float = 30.0
    reconnect_timeout_s: float = 72 * 3600.0
    """A failed member is forgotten after this."""
    tombstone_timeout_s: float = 24 * 3600.0
    """One that left is forgotten after this."""
    intent_timeout_s: float = 300.0
    broadcast_timeout_s: float = 5.0
    """How long leaving waits until its word is out."""
    leave_propagate_s: float = 3.0
    """How long a leaving member still answers, so that its word travels on."""
    user_event_bytes: int = 512
    query_bytes: int = 1024
    query_response_bytes: int = 1024
    max_queue: int = 4096
    coordinates: bool = True
    resolve_conflicts: bool = False
    """Ask the pool when another node claims our name, and go if it is the one they know. Consul does not."""
    least_event_time: int = 0
    """Older events were seen before this start (the snapshot says so)."""
    least_query_time: int = 0

    def query_timeout_s(self, nodes: int) -> float:
        """How long a query runs in a pool of `nodes`, unless it says so itself."""
        return self.gossip_interval_s * 16 * math.ceil(math.log10(nodes + 1))
