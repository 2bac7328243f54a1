"""What the parts of the daemon share: one plain object that HTTP handlers, anti-entropy and leader duties are given.

It holds, it does not do: each attribute is built by `daemon.py`. Tests build one with an in-memory log and a virtual
clock.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.registering import require_command
from meshagent.agent.session_keeper import SessionKeeper
from meshagent.agent.write_ids import current_writes
from meshagent.catalog.commands import Command, encode
from meshagent.catalog.log import ReplicatedLog, ServingLog
from meshagent.catalog.store import Store
from meshagent.clock import Clock, Tasks
from meshagent.ids import new_uuid
from meshagent.metrics import Metrics

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.config import Config
    from meshagent.agent.local import LocalState
    from meshagent.agent.logs import LogHub
    from meshagent.agent.rpc.upstream import Upstream

__all__ = ["Agent", "Lifecycle"]


@dataclass(slots=True)
class Lifecycle:
    """What an endpoint may ask of the daemon itself."""

    reload: Callable[[], Awaitable[Any]]
    """Read the configuration again and apply it; raises ConfigError and keeps the old one."""
    leave: Callable[[], Awaitable[None]]
    """Leave gracefully, then the process ends; who asks is answered in between, and may go away before."""


@dataclass(slots=True, kw_only=True)
class Agent:
    """This agent."""

    config: Config
    clock: Clock
    rng: random.Random
    metrics: Metrics
    logs: LogHub
    tasks: Tasks
    store: Store
    log: ServingLog
    local: LocalState
    node_name: str
    node_id: str
    datacenter: str
    lifecycle: Lifecycle
    upstream: Upstream | None = None
    """The way to the servers when this is a client agent; its store is empty then."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Parts that only some families need, by name (`dns`, `http`, `checks`, `sync`, `raft`, `leader_calls`)."""

    sessions: SessionKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = SessionKeeper(self.store, self.clock)

    async def write(self, command: Command) -> Any:
        """Have `command` applied everywhere; its result. Raises NoLeader, or the MeshError that refuses it."""
        writes = current_writes()
        if writes is None:
            return await self.log.propose(encode(command))
        return await self.log.propose(encode(command), writes.next_id())

    def new_id(self) -> str:
        """A UUID for something that is about to be written; the same one when the request is tried again."""
        writes = current_writes()
        return new_uuid() if writes is None else writes.next_uuid()

    async def write_own(self, command: Command, token: str) -> Any:
        """Have `command` applied, if `token` may register that; raises Denied too. What anti-entropy writes with."""
        guardian: Guardian | None = self.extras.get("acl")
        if guardian is None:
            return await self.write(command)
        if self.upstream is not None:  # the servers decide
            remote: Any = self.log
            return await remote.propose_as(encode(command), token)
        identity = await guardian.identify(token)
        require_command(identity.access, self.store, command)
        return await self.write(command)

    async def write_as_leader(self, command: Command) -> Any:
        """The same for what only the leader may decide: never forwarded. Raises NoLeader when it leads no more."""
        own: ReplicatedLog = self.extras.get("raft", self.log)
        return await own.propose(encode(command))
