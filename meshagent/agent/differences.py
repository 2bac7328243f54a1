"""The difference between what an agent says of its node and what the catalog says, as commands that end it.

Source: surface rows E1-E3, O7, K5. Pure. `compare` marks in the local state what differs from the catalog's rows,
`outstanding` gives what is marked as commands, `settle` takes the marks away once a command was applied. What may
change here: which rows another part of the system owns (`_OWNED_*`).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService
from meshagent.catalog import commands, queries
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.store import Store

__all__ = ["NodeRows", "Outgoing", "compare", "node_rows", "outstanding", "settle"]

#: The leader keeps these for every server and member (surface rows O7, E4); an agent neither writes nor removes them.
_OWNED_SERVICES = frozenset({"consul"})
_OWNED_CHECKS = frozenset({"serfhealth"})


@dataclass(frozen=True, slots=True)
class NodeRows:
    """What the catalog holds of one node."""

    node: Node | None = None
    services: tuple[Service, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A command, the token it goes with, and what it settles: rows sent as they were, ids to be forgotten."""

    command: commands.Register | commands.Deregister
    token: str
    node: Node | None = None
    services: tuple[tuple[LocalService, Service], ...] = ()
    checks: tuple[tuple[LocalCheck, Check], ...] = ()
    gone_service: str = ""
    gone_check: str = ""

    def __str__(self) -> str:
        if self.gone_service:
            return f"deregister service {self.gone_service!r}"
        if self.gone_check:
            return f"deregister check {self.gone_check!r}"
        names = [f"service {row.id!r}" for _, row in self.services] + [
            f"check {row.check_id!r}" for _, row in self.checks
        ]
        return "sync " + (", ".join(names) or "node info")


def node_rows(store: Store, node: str) -> NodeRows:
    """The rows of a node in a store."""
    found = queries.node_services(store, node).rows
    if found is None:
        return NodeRows()
    return NodeRows(found[0], tuple(found[1]), tuple(queries.health_node(store, node).rows))


def compare(local: LocalState, catalog: NodeRows) -> None:
    """Mark everything that differs as to be written, and everything the agent does not know as to be forgotten."""
    local.node_in_sync = catalog.node is not None and _same_node(local.node, catalog.node)
    services = {row.id.lower(): row for row in catalog.services}
    for service_id, service in local.services.items():
        row = services.pop(service_id.lower(), None)
        if row is not None:
            local.take_back(service_id, row)
        service.in_sync = row is not None and _same_service(service.service, row)
    checks = {row.check_id.lower(): row for row in catalog.checks}
    for check_id, check in local.checks.items():
        held = checks.pop(check_id.lower(), None)
        check.in_sync = held is not None and _same_check(check, held)
    local.gone.services = {
        row.id: local.gone.services.get(row.id, "") for key, row in services.items() if key not in _OWNED_SERVICES
    }
    local.gone.checks = {
        row.check_id: local.gone.checks.get(row.check_id, "")
        for key, row in checks.items()
        if key not in _OWNED_CHECKS
        and row.service_id not in local.gone.services
        and row.service_id.lower() not in _OWNED_SERVICES
    }


def _same_node(local: Node, row: Node) -> bool:
    return (
        local.id == row.id
        and local.address == row.address
        and (local.tagged_addresses or {}) == (row.tagged_addresses or {})
        and (local.meta or {}) == (row.meta or {})
        and local.locality == row.locality
    )


def _same_service(local: Service, row: Service) -> bool:
    return local == msgspec.structs.replace(row, create_index=local.create_index, modify_index=local.modify_index)


def _same_check(local: LocalCheck, row: Check) -> bool:
    """Name and tags of the service are the store's to fill; an output that waits its turn does not count."""
    mine = local.check
    return mine == msgspec.structs.replace(
        row,
        node=mine.node,
        service_name=mine.service_name,
        service_tags=mine.service_tags,
        output=mine.output if local.deferred_until is not None else row.output,
        create_index=mine.create_index,
        modify_index=mine.modify_index,
    )


def outstanding(local: LocalState) -> list[Outgoing]:
    """What the catalog must be told, in order: the node, what is gone, services with their checks, other checks."""
    node = local.node
    name = local.node_name
    out: list[Outgoing] = []
    if not local.node_in_sync:
        out.append(Outgoing(commands.Register(node), "", node=node))
    for service_id, token in local.gone.services.items():
        out.append(Outgoing(commands.Deregister(name, service_id=service_id), token, gone_service=service_id))
    for check_id, token in local.gone.checks.items():
        out.append(Outgoing(commands.Deregister(name, check_id=check_id), token, gone_check=check_id))
    with_service: set[str] = set()
    for service in local.services.values():
        if service.in_sync:
            continue
        row = service.service
        with_it = [entry for entry in local.checks_of(row.id) if not entry.in_sync and entry.token == service.token]
        with_service.update(entry.check.check_id for entry in with_it)
        checks = tuple((entry, entry.check) for entry in with_it)
        command = commands.Register(node, row, tuple(check for _, check in checks), skip_node_update=True)
        out.append(Outgoing(command, service.token, services=((service, row),), checks=checks))
    alone = [entry for key, entry in local.checks.items() if not entry.in_sync and key not in with_service]
    for entry in sorted(alone, key=lambda entry: entry.check.check_id):
        check = entry.check
        command = commands.Register(node, None, (check,), skip_node_update=True)
        out.append(Outgoing(command, entry.token, checks=((entry, check),)))
    return out


def settle(local: LocalState, sent: Outgoing) -> None:
    """The catalog has taken `sent`; what changed here in the meantime stays marked."""
    if sent.node is not None and sent.node is local.node:
        local.node_in_sync = True
    for service, row in sent.services:
        if service.service is row:
            service.in_sync = True
    for entry, check in sent.checks:
        if entry.check is check:
            entry.in_sync = True
    if sent.gone_service and sent.gone_service not in local.services:
        local.gone.services.pop(sent.gone_service, None)
        local.gone.checks_of.pop(sent.gone_service, None)
    if sent.gone_check and sent.gone_check not in local.checks:
        local.gone.checks.pop(sent.gone_check, None)
