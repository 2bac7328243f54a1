"""Autopilot's hands: while this server leads, it looks at all servers every two seconds and changes what is decided.

Source: developer.hashicorp.com/consul/docs/manage/scale/autopilot; surface rows OP4-OP6, G21. What to think of the
servers and what to do is `catalog/autopilot`; here are the questions to them and the changes of the Raft configuration.

What may change here: how often it looks.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Protocol

from meshagent.agent.operator_calls import SERVER_STATS, own_stats
from meshagent.agent.server_calls import decode
from meshagent.agent.settings import autopilot_bootstrap
from meshagent.catalog.autopilot.decisions import Promote, Remove
from meshagent.catalog.autopilot.health import AutopilotState, ServerStats, ServerView
from meshagent.catalog.autopilot.machine import Autopilot
from meshagent.catalog.commands import AutopilotSet
from meshagent.catalog.raft.configuration import Server
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.errors import MeshError, NoLeader

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.membership import Member

__all__ = ["AutopilotKeeper", "Cluster", "Link"]

log = logging.getLogger("agent.server.autopilot")

#: Upstream looks this often, and gives a server half of it to answer.
STEP_S = 2.0
ANSWER_S = 1.0
#: How often a server that does not lead looks whether it does.
IDLE_S = 0.2
#: Followers may miss one heartbeat before their silence says anything.
PATIENT_BEATS = 2
_STATUS = {1: "alive", 2: "leaving", 3: "left", 4: "failed"}


class Cluster(Protocol):
    """The part of the log that knows the servers (`RaftLog`)."""

    @property
    def servers(self) -> tuple[Server, ...]: ...

    async def add_server(self, node_id: str, address: str, *, voter: bool = False) -> None: ...

    async def remove_server(self, node_id: str) -> None: ...


class Link(Protocol):
    """The part of `Peers` that asks a server."""

    def call(self, node_id: str, method: str, payload: bytes, timeout_s: float) -> Awaitable[bytes]: ...


class AutopilotKeeper:
    """One for each server; only the leader's does something.

    `agent.extras` may hold `raft` (a `Cluster`) and `peers` (a `Link`); without them this server is alone.
    """

    def __init__(self, agent: Agent) -> None:
        self.state: AutopilotState | None = None
        """What the last look saw; None while this server does not lead."""
        self._agent = agent
        self._machine = Autopilot()
        self._changing = False

    async def run(self) -> None:
        """Look and act for as long as this server leads, again and again."""
        while True:
            if self._agent.log.is_leader:
                await self.step()
                await self._agent.clock.sleep(STEP_S)
            else:
                self.forget()
                await self._agent.clock.sleep(IDLE_S)

    def forget(self) -> None:
        """This server does not lead: the next time it begins anew."""
        if self.state is not None:
            self.state = None
            self._machine = Autopilot()

    async def configure(self) -> None:
        """Write the first configuration of a new cluster. Raises NoLeader."""
        if self._agent.store.autopilot.config is None:
            await self._agent.write(AutopilotSet(autopilot_bootstrap(self._agent.config), cas=0))

    async def current(self) -> AutopilotState:
        """What is known of the servers. Raises NoLeader when this server does not lead."""
        if not self._agent.log.is_leader:
            raise NoLeader
        if self.state is None:
            await self._look()
        if self.state is None:
            raise NoLeader
        return self.state

    async def step(self) -> None:
        """Look once, and begin the change that is due."""
        change = await self._look()
        if change is not None and not self._changing:
            self._changing = True
            self._agent.tasks.start(self._apply(change), name="autopilot change")

    async def _look(self) -> Promote | Remove | None:
        agent = self._agent
        own = own_stats(agent)
        views = await self._views(own)
        if not agent.log.is_leader:
            self.forget()
            return None
        beat_s = RaftSettings().heartbeat_s * agent.config.performance.raft_multiplier
        self.state, change = self._machine.step(
            views,
            agent.store.autopilot.config or autopilot_bootstrap(agent.config),
            term=own.last_term,
            last_index=own.last_index,
            now=agent.clock.monotonic(),
            wall=agent.clock.now(),
            patience=int(PATIENT_BEATS * beat_s * 1e9),
        )
        return change

    async def _views(self, own: ServerStats) -> list[ServerView]:
        agent = self._agent
        servers = self._servers()
        stats = await self._ask([server.node_id for server in servers if server.node_id != agent.node_id])
        stats[agent.node_id] = own
        members = {member.tags.get("id", ""): member for member in agent.extras["members"].members()}
        return [self._view(server, members.get(server.node_id), stats.get(server.node_id)) for server in servers]

    async def _ask(self, others: Sequence[str]) -> dict[str, ServerStats]:
        """What the other servers say; who does not answer is left out. All are asked at once."""
        link: Link | None = self._agent.extras.get("peers")
        if link is None:
            return {}
        asked = [(node_id, link.call(node_id, SERVER_STATS, b"", ANSWER_S)) for node_id in others]
        found = {}
        for node_id, answer in asked:
            try:
                found[node_id] = decode(await answer, ServerStats)
            except MeshError as error:
                log.debug("no statistics of a server: server=%s error=%s", node_id, error)
        return found

    def _servers(self) -> tuple[Server, ...]:
        cluster: Cluster | None = self._agent.extras.get("raft")
        if cluster is None:
            return (Server(self._agent.node_id, self._agent.log.leader, True),)
        return cluster.servers

    def _view(self, server: Server, member: Member | None, stats: ServerStats | None) -> ServerView:
        agent = self._agent
        leader = server.node_id == agent.node_id
        name = member.name if member is not None else "(unknown)"
        node = agent.store.registrations.nodes.get(name.lower())
        return ServerView(
            id=server.node_id,
            name=name,
            address=server.address,
            voter=server.voter,
            leader=leader,
            status=_STATUS.get(member.status, "none") if member is not None else "none",
            version=member.tags.get("build", "").partition(":")[0] if member is not None else "",
            meta=(node.meta or {}) if node is not None else {},
            stats=stats,
        )

    async def _apply(self, change: Promote | Remove) -> None:
        cluster: Cluster = self._agent.extras["raft"]
        try:
            if isinstance(change, Promote):
                log.info("promoting server: id=%s address=%s reason=%s", change.id, change.address, change.reason)
                await cluster.add_server(change.id, change.address, voter=True)
            else:
                log.info("removing server: id=%s address=%s reason=%s", change.id, change.address, change.reason)
                await cluster.remove_server(change.id)
                await self._force_leave(change.id)
            await self._look()  # so that who asks now sees the change
        except MeshError as error:
            log.warning("the servers could not be changed yet: id=%s error=%s", change.id, error)
        finally:
            self._changing = False

    async def _force_leave(self, node_id: str) -> None:
        """A removed server that gossip still waits for is to count as left."""
        members = self._agent.extras["members"]
        for member in members.members():
            if member.tags.get("id") == node_id and _STATUS.get(member.status) == "failed":
                await members.force_leave(member.name)
