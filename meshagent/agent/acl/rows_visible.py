"""What of the rows that a client agent follows its token may see: the counterpart of `visible.py` for
`rpc/questions.py`.

A virtual address is no secret without the service behind it, nor are the roots. Source: surface rows D33, L6, L10, M20.
Pure. What may change here: another kind of question is another function.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.visible import instance_seen
from meshagent.catalog.entries.table import CONFIG_ENTRIES

__all__ = [
    "at_address",
    "config_entries",
    "entry_seen",
    "gateway_services",
    "instances",
    "mesh_services",
    "node",
    "node_rows",
    "query",
]


def instances(rows: Any, access: Access) -> Any:
    """Instances of a service."""
    return tuple(row for row in rows if instance_seen(row, access))


def gateway_services(rows: Any, access: Access) -> Any:
    """Services behind a gateway."""
    return tuple(row for row in rows if access.allows("service", "read", row.service.name))


def query(found: Any, access: Access) -> Any:
    """What a prepared query gave."""
    if found is None:
        return None
    return msgspec.structs.replace(found, entries=instances(found.entries, access))


def node(found: Any, access: Access) -> Any:
    """A node."""
    return found if found is not None and access.allows("node", "read", found.name) else None


def at_address(found: Any, access: Access) -> Any:
    """Names behind an address."""
    shown = found.node if found.node and access.allows("node", "read", found.node) else ""
    service = found.service if found.service and access.allows("service", "read", found.service) else ""
    return msgspec.structs.replace(found, node=shown, service=service)


def node_rows(found: Any, access: Access) -> Any:
    """What the catalog holds of a node."""
    if found.node is None or not access.allows("node", "read", found.node.name):
        return type(found)()
    services = tuple(row for row in found.services if access.allows("service", "read", row.name))
    checks = tuple(
        row for row in found.checks if not row.service_name or access.allows("service", "read", row.service_name)
    )
    return type(found)(found.node, services, checks)


def config_entries(rows: Any, access: Access) -> Any:
    """Config entries of a kind. Intentions for every service concern who has any of them: they are no secret to an
    agent, which could not deny what they deny."""
    return tuple(row for row in rows if _for_all(row) or entry_seen(row, access))


def _for_all(entry: Any) -> bool:
    return bool(entry.kind == "service-intentions" and entry.name == "*")


def mesh_services(rows: Any, access: Access) -> Any:
    """Services with their virtual addresses."""
    return tuple(row for row in rows if access.allows("service", "read", row.name))


def entry_seen(entry: Any, access: Access) -> bool:
    """Whether a config entry may be seen: its kind says what that needs."""
    needed = CONFIG_ENTRIES[entry.kind].read
    resource, _, level = needed.partition(":")
    return not needed or access.authorizer.allows(resource, entry.name, level)
