"""I/O edge: what runs only while this server leads: first what a new leader does once, then its standing duties.

Source: surface rows C13, E4, E5; developer.hashicorp.com/consul/docs/architecture/consensus. A reign begins when the
log says that this server leads and has applied all that earlier leaders committed, and ends with its role or its term.
Duties propose on this server's own log (`Agent.write_as_leader`): what a deposed leader decided must not reach the log
by way of its successor.

What may change here: a duty is a row handed to `Leadership`; each is cancelled at the end of the reign and runs anew in
the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from meshagent.agent.leader import REAP_STEP_S, TombstoneReaper
from meshagent.agent.settings import fixed_cluster_id
from meshagent.catalog.commands import ClusterInit, FederationStateSet, HistoryDrop
from meshagent.clock import Tasks
from meshagent.errors import MeshError
from meshagent.ids import new_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.membership import Membership
    from meshagent.catalog.raft.replica import RaftLog

__all__ = ["Duty", "Leadership", "drop_history", "init_cluster", "init_federation", "reap_tombstones"]

log = logging.getLogger("agent.server")

#: Pause before a first step of a new leader that failed is tried again.
RETRY_S = 1.0
#: Until a leader looks whether there is a federation state.
FEDERATION_S = 0.05

#: (name, coroutine function). A first step returns; a duty may run for ever.
Duty = tuple[str, Callable[[], Awaitable[Any]]]


class Leadership:
    """Does `first` one after the other, then starts all `duties`, whenever `raft` becomes leader. Made on the loop."""

    def __init__(self, raft: RaftLog, agent: Agent, *, first: Sequence[Duty], duties: Sequence[Duty]) -> None:
        self._raft = raft
        self._agent = agent
        self._first = list(first)
        self._duties = list(duties)
        self._tasks = Tasks()
        self._changed = asyncio.Event()
        self._reign = 0  # the term that this server leads in, or 0
        self._leader: str | None = None
        self._again = False
        #: Whether this server leads and has done its first steps.
        self.established = False
        #: Called when a leader is known who was not before.
        self.on_leader: list[Callable[[], None]] = []
        raft.on_change.append(self._changed.set)

    def reassert(self) -> None:
        """Begin anew as if just elected: the whole state was replaced by a snapshot."""
        self._again = True
        self._changed.set()

    async def run(self) -> None:
        """Follow the log until cancelled."""
        try:
            while True:
                self._changed.clear()
                reign = self._raft.term if self._raft.is_ready else 0
                if reign != self._reign or self._again:
                    self._again = False
                    await self._change(reign)
                self._tell_leader()
                await self._changed.wait()
        finally:
            await self._tasks.cancel()

    async def _change(self, reign: int) -> None:
        if self._reign and self._reign != reign:
            log.info("cluster leadership lost")
        await self._tasks.cancel()
        self.established = False
        if reign and self._reign != reign:
            log.info("cluster leadership acquired")
        self._reign = reign
        if reign:
            self._tasks.start(self._rule(), name="leader")

    async def _rule(self) -> None:
        clock, metrics = self._agent.clock, self._agent.metrics
        started = clock.monotonic()
        for name, step in self._first:
            while True:
                try:
                    await step()
                except MeshError as error:
                    log.warning("%s failed: %s", name, error)
                    await clock.sleep(RETRY_S)
                else:
                    break
        metrics.measure("leader.barrier", started)
        self.established = True
        for name, duty in self._duties:
            self._tasks.start(_forever(duty), name=name)

    def _tell_leader(self) -> None:
        leader = self._raft.leader_id
        if leader == self._leader:
            return
        self._leader = leader
        if leader is None:
            return
        if leader != self._agent.node_id:
            log.info("New leader elected: payload=%s address=%s", self._name(leader), self._raft.leader)
        for listener in self.on_leader:
            listener()

    def _name(self, node_id: str) -> str:
        """The name of a server: of the catalog, or of the pool before it is there."""
        for node in self._agent.store.registrations.nodes.values():
            if node.id == node_id:
                return node.name
        pool: Membership | None = self._agent.extras.get("members")
        members = [] if pool is None else pool.members()
        return next((member.name for member in members if member.tags.get("id") == node_id), node_id)


async def _forever(duty: Callable[[], Awaitable[Any]]) -> None:
    await duty()


async def init_cluster(agent: Agent) -> None:
    """Give the cluster an id if it has none."""
    if not agent.store.cluster_id:
        await agent.write_as_leader(ClusterInit(fixed_cluster_id(agent.config) or new_uuid()))


async def drop_history(agent: Agent) -> None:
    """Forget the versions that were kept while `history.versions` was set."""
    if not agent.config.history.versions and agent.store.history.rows():
        await agent.write_as_leader(HistoryDrop())


async def init_federation(agent: Agent) -> None:
    """Write this datacenter's federation state if there is none, behind what the agents first tell of themselves."""
    await agent.clock.sleep(FEDERATION_S)
    if agent.datacenter not in agent.store.federation.rows:
        now = agent.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z")
        await agent.write_as_leader(FederationStateSet(agent.datacenter, now))


async def reap_tombstones(agent: Agent) -> None:
    """Have tombstones forgotten when they are old enough, for ever."""
    reaper = TombstoneReaper()
    while True:
        await agent.clock.sleep(REAP_STEP_S)
        due = reaper.step(agent.clock.monotonic(), agent.store.index)
        if due is not None and agent.store.has_tombstones(due.index):
            started = agent.clock.monotonic()
            try:
                await agent.write_as_leader(due)
            except MeshError as error:
                log.warning("tombstones could not be reaped yet: %s", error)
            else:
                agent.metrics.measure("leader.reapTombstones", started)
