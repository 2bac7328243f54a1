"""What is known of each server, and whether it is healthy.

Source: developer.hashicorp.com/consul/api-docs/operator/autopilot (health and state); surface rows OP5, OP6. A server
is healthy when gossip says it is alive, it heard from the leader within the threshold, is in the leader's term and not
too far behind. What may change here: `reason` is for people; all other fields are part of the API. The structs travel
between servers: fields are appended with a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from meshagent.catalog.autopilot.configuration import AutopilotConfig

__all__ = ["ALIVE", "AutopilotState", "ServerHealth", "ServerStats", "ServerView", "problem_of", "tolerance"]

ALIVE = "alive"


class ServerStats(msgspec.Struct, frozen=True, array_like=True):
    """What a server says of its log. `last_contact` is nanoseconds since it heard the leader, None: it hears none."""

    last_contact: int | None
    last_term: int
    last_index: int


class ServerView(msgspec.Struct, frozen=True, kw_only=True):
    """One server of the Raft configuration, as its leader sees it now. `stats` is None when it did not answer.

    `status` is what gossip says: alive, leaving, left, failed, or none for a server that gossip does not know.
    """

    id: str
    name: str = "(unknown)"
    address: str = ""
    voter: bool = True
    leader: bool = False
    status: str = ALIVE
    version: str = ""
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)
    stats: ServerStats | None = None


class ServerHealth(msgspec.Struct, frozen=True, array_like=True):
    """The judgement on one server; `stable_since` is when `healthy` changed last. `reason` says why it is unhealthy."""

    id: str
    name: str
    address: str
    voter: bool
    leader: bool
    status: str
    version: str
    meta: dict[str, str]
    last_contact: int
    last_term: int
    last_index: int
    healthy: bool
    stable_since: datetime
    reason: str = ""


class AutopilotState(msgspec.Struct, frozen=True, array_like=True):
    """The whole of it; servers by id."""

    healthy: bool
    failure_tolerance: int
    leader: str
    servers: tuple[ServerHealth, ...]

    @property
    def voters(self) -> list[str]:
        """Ids of those that vote."""
        return [server.id for server in self.servers if server.voter]


def problem_of(server: ServerView, config: AutopilotConfig, *, term: int, last_index: int, patience: int = 0) -> str:
    """Why the server is unhealthy, "" when it is not. `term` and `last_index` are the leader's.

    `patience` (nanoseconds) is how long a follower may go without hearing anything because the leader beats no faster:
    a threshold below it would call every follower unhealthy.
    """
    stats = server.stats
    if server.status != ALIVE:
        return f"gossip says {server.status}"
    if stats is None:
        return "it does not answer"
    if stats.last_contact is None:
        return "it hears no leader"
    if stats.last_contact > max(config.last_contact_threshold, patience):
        return f"it heard the leader {stats.last_contact // 1_000_000} ms ago"
    if stats.last_term != term:
        return f"its log ends in term {stats.last_term}, the leader's in {term}"
    behind = last_index - stats.last_index
    if behind > config.max_trailing_logs:
        return f"it is {behind} entries behind"
    return ""


def tolerance(servers: Sequence[ServerHealth]) -> int:
    """How many healthy voters may fail before there is no quorum."""
    voters = [server for server in servers if server.voter]
    quorum = len(voters) // 2 + 1
    return max(0, sum(server.healthy for server in voters) - quorum)
