"""What the leader has to change so that catalog and Raft configuration agree with the members of the pool.

Source: surface rows E4, O7; developer.hashicorp.com/consul/docs/architecture/anti-entropy; HashiCorp Serf's states of a
member. Pure: `Reconciler.plan` takes members, rows and servers as they are, and gives commands and changes of servers.
Asked again when they were done, it has nothing to say.

What an agent says of its own node stays the agent's (`skip_node_update`): the leader makes the row, judges `serfHealth`
and keeps the service `consul` of servers. A node that gossip knows nothing of is taken for failed only after
`UNKNOWN_S`, because a leader that has just started may not have met everybody yet, and forgotten after
`reconnect_timeout`: upstream forgets it at once, and with it its sessions and locks.

What may change here: what is written for a state is a row of `_BY_STATUS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from meshagent.agent.flapping import Flapping
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.self_registration import SERF_HEALTH, serf_health, server_registration
from meshagent.agent.server_tags import read_server
from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node
from meshagent.catalog.raft.configuration import Server
from meshagent.catalog.store import Store

__all__ = ["AddServer", "Plan", "Reconciler", "RemoveServer"]

#: How long a node that gossip has not met yet is left as it is.
UNKNOWN_S = 60.0


@dataclass(frozen=True, slots=True)
class AddServer:
    """A server that is not in the configuration, or has another address there; `voter` as it was."""

    node_id: str
    address: str
    voter: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """A server that has left, or whose address is another server's now."""

    node_id: str
    reason: str


@dataclass(slots=True)
class Plan:
    """`writes` may be made all at once; of `servers` one at a time, the first first."""

    writes: list[commands.Register | commands.Deregister] = field(default_factory=list)
    servers: list[AddServer | RemoveServer] = field(default_factory=list)
    #: When to ask again, in seconds, although nothing may have happened: somebody is not believed yet. 0.0: never.
    again_s: float = 0.0
    #: (node, what is done and why), for the log.
    reasons: list[tuple[str, str]] = field(default_factory=list)


class Reconciler:
    """The leader's view in one reign. `own_name` is its own node: it never forgets itself."""

    def __init__(self, store: Store, datacenter: str, own_name: str, reconnect_timeout_s: float) -> None:
        self._store = store
        self._datacenter = datacenter
        self._own = own_name.lower()
        self._reconnect_timeout_s = reconnect_timeout_s
        self._unknown_since: dict[str, float] = {}
        self._reaped: set[str] = set()
        self._flapping = Flapping()
        self._now = 0.0

    def reaped(self, names: Iterable[str]) -> None:
        """Gossip has forgotten these members."""
        self._reaped.update(name.lower() for name in names)

    def plan(self, members: Sequence[Member], servers: Sequence[Server], now: float) -> Plan:
        """What is to be done at monotonic second `now`."""
        plan = Plan()
        self._now = now
        known = {member.name.lower() for member in members}
        self._flapping.keep(known)
        for member in members:
            handle = _BY_STATUS.get(member.status)
            if handle is not None:
                handle(self, plan, member)
        self._plan_unknown(plan, known, now)
        plan.servers = self._plan_servers(members, servers)
        return plan

    # --- rows --------------------------------------------------------------------------------------------------

    def _alive(self, plan: Plan, member: Member) -> None:
        server = read_server(member, self._datacenter)
        if server is not None:
            wanted = server_registration(server.facts)
        else:
            node = Node(
                id=member.tags.get("id", "").lower(),
                name=member.name,
                address=member.addr,
                datacenter=self._datacenter,
            )
            wanted = commands.Register(node, None, (serf_health(member.name, alive=True),), skip_node_update=True)
        wait_s = self._flapping.wait_s(member.name.lower(), self._now)
        if not self._holds(wanted):
            if wait_s and self._node(member.name) is not None:
                plan.again_s = min(plan.again_s or wait_s, wait_s)
                return
            held = self._node(member.name)
            if held is not None and held.id and wanted.node.id and held.id.lower() != wanted.node.id:
                # Gossip has one member of a name: who had this one is gone. Only a dead node's name may be taken.
                dead = (serf_health(held.name, alive=False),)
                plan.writes.append(commands.Register(held, None, dead, skip_node_update=True))
                wanted = msgspec.structs.replace(wanted, skip_node_update=False)
            plan.writes.append(wanted)
            plan.reasons.append((member.name, "member joined, marking health alive"))

    def _failed(self, plan: Plan, member: Member) -> None:
        node = self._node(member.name)
        if node is None:
            return  # it was never here: nothing to say of it
        self._flapping.failed(member.name.lower(), self._now)
        wanted = commands.Register(node, None, (serf_health(node.name, alive=False),), skip_node_update=True)
        if not self._holds(wanted):
            plan.writes.append(wanted)
            plan.reasons.append((member.name, "member failed, marking health critical"))

    def _left(self, plan: Plan, member: Member) -> None:
        self._forget(plan, member.name, "member left, deregistering")

    def _forget(self, plan: Plan, name: str, reason: str) -> None:
        node = self._node(name)
        if node is not None and name.lower() != self._own:
            plan.writes.append(commands.Deregister(node.name))
            plan.reasons.append((name, reason))

    def _plan_unknown(self, plan: Plan, known: set[str], now: float) -> None:
        """Nodes that were members once, by their `serfHealth`, and are not any more."""
        checks = self._store.registrations.checks
        unknown = {name for (name, check_id) in checks if check_id == SERF_HEALTH.lower()} - known - {self._own}
        self._unknown_since = {name: self._unknown_since.get(name, now) for name in unknown}
        for name in sorted(unknown):
            silent_s = now - self._unknown_since[name]
            if name in self._reaped or silent_s >= self._reconnect_timeout_s:
                self._forget(plan, name, "member reaped, deregistering")
            elif silent_s >= UNKNOWN_S:
                self._failed(plan, Member(name=name, addr="", port=0, status=Status.FAILED))
        self._reaped &= unknown

    def _node(self, name: str) -> Node | None:
        return self._store.registrations.nodes.get(name.lower())

    def _holds(self, wanted: commands.Register) -> bool:
        """Whether the catalog says so already."""
        registrations = self._store.registrations
        key = wanted.node.name.lower()
        node = registrations.nodes.get(key)
        if node is None or (wanted.node.id and node.id != wanted.node.id):
            return False
        if wanted.service is not None:
            held = registrations.services.get((key, wanted.service.id))
            if held is None or (held.port, held.meta) != (wanted.service.port, wanted.service.meta):
                return False
        return all(_same(registrations.checks.get((key, check.check_id.lower())), check) for check in wanted.checks)

    # --- servers -----------------------------------------------------------------------------------------------

    def _plan_servers(self, members: Sequence[Member], servers: Sequence[Server]) -> list[AddServer | RemoveServer]:
        """Who left goes first, then who stands in the way of another, then who is new or has moved."""
        configured = {server.node_id: server for server in servers}
        here: dict[str, str] = {}
        gone: list[AddServer | RemoveServer] = []
        for member in members:
            server = read_server(member, self._datacenter)
            if server is None:
                continue
            if member.status in {Status.ALIVE, Status.LEAVING}:
                here[server.node_id] = server.address
            elif member.status == Status.LEFT and server.node_id in configured:
                gone.append(RemoveServer(server.node_id, f"{member.name} left"))
        changes = [change for change in gone if change.node_id not in here]
        taken = {address: node_id for node_id, address in here.items()}
        for server_ in servers:
            holder = taken.get(server_.address, server_.node_id)
            if holder != server_.node_id and server_.node_id not in here:
                changes.append(RemoveServer(server_.node_id, f"its address {server_.address} is that of {holder} now"))
        return changes + _additions(here, configured)


def _additions(here: Mapping[str, str], configured: Mapping[str, Server]) -> list[AddServer | RemoveServer]:
    changes: list[AddServer | RemoveServer] = []
    for node_id, address in sorted(here.items()):
        server = configured.get(node_id)
        if server is None:
            changes.append(AddServer(node_id, address, False, "joined"))
        elif server.address != address:
            changes.append(AddServer(node_id, address, server.voter, f"moved from {server.address}"))
    return changes


def _same(held: Check | None, wanted: Check) -> bool:
    return held is not None and (held.status, held.output) == (wanted.status, wanted.output)


_BY_STATUS: dict[int, Callable[[Reconciler, Plan, Member], None]] = {
    Status.ALIVE: Reconciler._alive,
    Status.LEAVING: Reconciler._alive,
    Status.FAILED: Reconciler._failed,
    Status.LEFT: Reconciler._left,
}
