"""What servers ask each other beside Raft and writes: the state of their logs, and what autopilot thinks.

Source: design.md "RPC". Each method is a row in `operator_methods`, a handler of bytes to bytes; payloads are msgpack
arrays whose fields are appended with a default. `at_leader` runs one where the leader is.

What may be changed: names and layouts are on the wire: append-only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.server_calls import Method, decode, encode, servers_only
from meshagent.agent.snapshot_calls import snapshot_methods
from meshagent.catalog.autopilot.health import AutopilotState, ServerStats
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.autopilot import AutopilotKeeper
    from meshagent.agent.core import Agent
    from meshagent.agent.replication import Replicator
    from meshagent.catalog.rpc.hello import Peer
    from meshagent.catalog.rpc.leader_calls import LeaderCalls
    from meshagent.catalog.rpc.link import Handler

__all__ = [
    "AUTOPILOT_STATE",
    "REPLICATION_STATE",
    "SERVER_STATS",
    "all_methods",
    "at_leader",
    "decode",
    "operator_methods",
    "own_stats",
]

SERVER_STATS = "server-stats"  # since 0.1
REPLICATION_STATE = "replication-state"  # since 0.2
AUTOPILOT_STATE = "autopilot-state"  # since 0.1
_ANSWER_S = 10.0


def own_stats(agent: Agent) -> ServerStats:
    """How far this server's log is, and when it heard the leader."""
    log = agent.log
    stats = log.stats()
    contact = log.last_contact_ms * 1_000_000 if log.leader else None
    return ServerStats(contact, int(stats.get("last_log_term", "0")), int(stats.get("last_log_index", "0")))


def operator_methods(agent: Agent) -> dict[str, Method]:
    """The state of the log, and autopilot's."""

    async def stats(_: Peer, payload: bytes) -> bytes:
        return encode(own_stats(agent))

    async def state(_: Peer, payload: bytes) -> bytes:
        return encode(await _autopilot(agent).current())

    async def replication(_: Peer, payload: bytes) -> bytes:
        replicator: Replicator | None = agent.extras.get("replicator")
        if replicator is None:
            raise InternalError("nothing is copied from another datacenter")
        return encode(replicator.state)

    return {SERVER_STATS: stats, AUTOPILOT_STATE: state, REPLICATION_STATE: replication}


def _autopilot(agent: Agent) -> AutopilotKeeper:
    keeper: AutopilotKeeper = agent.extras["autopilot"]
    return keeper


async def autopilot_state(agent: Agent) -> AutopilotState:
    """What the leader's autopilot knows. Raises NoLeader, Unavailable, Timeout."""
    answer = await at_leader(agent, AUTOPILOT_STATE, b"")
    return decode(answer, AutopilotState)


async def at_leader(
    agent: Agent, method: str, payload: bytes, *, timeout_s: float = _ANSWER_S, again: bool = True
) -> bytes:
    """Have the leader serve `method`, which may be this server; `again` as in `LeaderCalls.call`.

    Raises:
        NoLeader, Unavailable, Timeout; what the leader raises.
    """
    calls: LeaderCalls = agent.extras["leader_calls"]
    return await calls.call(method, payload, timeout_s, again=again)


def all_methods(agent: Agent) -> dict[str, Handler]:
    """What to add to the methods of the RPC server."""
    methods = {**operator_methods(agent), **snapshot_methods(agent)}
    return {name: servers_only(method) for name, method in methods.items()}
