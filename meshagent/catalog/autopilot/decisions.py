"""What is to be done about the servers: one change at a time, and never one that could cost the quorum.

Source: developer.hashicorp.com/consul/docs/manage/scale/autopilot (stable server introduction, dead server cleanup,
`min_quorum`); Ongaro (2014), section 4: a change of members is in force at once, so a majority of the *new* voters
must be there to commit it. Pure.

What may change here: when something is done. What must not: `_keeps_quorum` stands before every change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.autopilot.health import ServerHealth

__all__ = ["Promote", "Remove", "decide"]

#: States of gossip in which a server will not come back by itself soon.
LEFT = "left"
DEAD = frozenset({"failed", LEFT, "none"})


@dataclass(frozen=True, slots=True)
class Promote:
    """Give a server its vote."""

    id: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a server out of the Raft configuration."""

    id: str
    address: str
    reason: str


def decide(
    servers: Sequence[ServerHealth],
    config: AutopilotConfig,
    *,
    stable_s: Mapping[str, float],
    dead: Collection[str],
) -> Promote | Remove | None:
    """The next change, if any.

    `stable_s` is for how many seconds each server has been as healthy (or not) as it is. `dead` holds the ids of those
    that have been in one of the `DEAD` states for long enough. A promotion comes before a removal: it makes the removal
    safer.
    """
    healthy = {server.id for server in servers if server.voter and server.healthy}
    voters = {server.id for server in servers if server.voter}
    if not _keeps_quorum(voters, healthy):
        return None
    wanted_s = config.server_stabilization_time / 1e9
    for server in servers:
        stable = server.healthy and stable_s.get(server.id, 0.0) >= wanted_s
        if not server.voter and stable and _keeps_quorum(voters | {server.id}, healthy | {server.id}):
            return Promote(server.id, server.address, f"healthy for {stable_s[server.id]:.0f} s")
    if not config.cleanup_dead_servers:
        return None
    gone = [server for server in servers if server.id in dead and not server.leader and not server.healthy]
    for server in sorted(gone, key=lambda each: each.voter):
        if not server.voter:
            return Remove(server.id, server.address, f"gossip says {server.status}; it has no vote")
        rest = voters - {server.id}
        if len(rest) >= config.min_quorum and _keeps_quorum(rest, healthy):
            return Remove(
                server.id, server.address, f"gossip says {server.status}; {len(healthy)} of {len(rest)} others healthy"
            )
    return None


def _keeps_quorum(voters: Collection[str], healthy: Collection[str]) -> bool:
    """Whether the healthy ones among `voters` are a majority."""
    return sum(voter in healthy for voter in voters) >= len(voters) // 2 + 1
