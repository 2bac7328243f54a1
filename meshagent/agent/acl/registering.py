"""What writing to the catalog needs: registrations, deregistrations, operations of transactions.

The same is asked of the HTTP API, of a client agent's own registrations, and of this agent's anti-entropy.

Source: surface rows CT1, CT2, TX1, E3, L6, L10; refusals of a running Consul. Pure: rows in, Denied out. What may
change here: another kind of write is another function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.agent.acl.access import Access
from meshagent.catalog import commands
from meshagent.catalog.commands import TxnCheck, TxnKV, TxnNode, TxnOp, TxnService
from meshagent.catalog.model import Check, KVEntry, Node, Service
from meshagent.catalog.store import Store
from meshagent.errors import Denied

__all__ = ["require_command", "require_deregister", "require_op", "require_register", "row_seen"]


def require_register(access: Access, store: Store, command: commands.Register) -> None:
    """A node that is new or changes, an instance under its name (and under the one it had), checks. Raises Denied."""
    node = command.node
    held = store.registrations.nodes.get(node.name.lower())
    if held is None or (not command.skip_node_update and _differs(node, held)):
        access.require("node", "write", node.name)
    service = command.service
    if service is not None:
        _require_service(access, store, node.name, service)
    for check in command.checks:
        _require_check(access, store, node.name, check, service)


def _differs(node: Node, held: Node) -> bool:
    return (
        node.id != held.id
        or node.address != held.address
        or (node.tagged_addresses or None) != (held.tagged_addresses or None)
        or (node.meta or None) != (held.meta or None)
    )


def _require_service(access: Access, store: Store, node: str, service: Service) -> None:
    access.require("service", "write", service.name)
    held = _instance(store, node, service.id or service.name)
    if held is not None and held.name != service.name:
        access.require("service", "write", held.name)


def _require_check(access: Access, store: Store, node: str, check: Check, service: Service | None) -> None:
    if not check.service_id:
        access.require("node", "write", node)
        return
    if service is not None and (service.id or service.name) == check.service_id:
        return  # asked for already
    held = _instance(store, node, check.service_id)
    if held is None:
        access.require("node", "write", node)
    else:
        access.require("service", "write", held.name)


def _instance(store: Store, node: str, service_id: str) -> Service | None:
    found: Service | None = store.registrations.services.get((node.lower(), service_id.lower()))
    return found


def require_deregister(access: Access, store: Store, command: commands.Deregister) -> None:
    """Who may write the node may take anything off it; else the service decides. Raises Denied."""
    node = command.node
    if not command.service_id and not command.check_id:
        access.require("node", "write", node)
        return
    if access.allows("node", "write", node):
        return
    name = ""
    if command.service_id:
        held = _instance(store, node, command.service_id)
        name = held.name if held is not None else ""
    else:
        check = store.registrations.checks.get((node.lower(), command.check_id.lower()))
        name = check.service_name if check is not None else ""
    if name:
        access.require("service", "write", name)
    else:
        access.require("node", "write", node)


def require_command(access: Access, store: Store, command: Any) -> None:
    """What an agent writes for itself. Raises Denied."""
    if isinstance(command, commands.Register):
        require_register(access, store, command)
    elif isinstance(command, commands.Deregister):
        require_deregister(access, store, command)
    elif isinstance(command, commands.CoordinateBatch):
        for row in command.updates:
            access.require("node", "write", row.node)
    else:
        raise Denied("Permission denied")


# --- transactions ----------------------------------------------------------------------------------------------


def require_op(access: Access, store: Store, op: TxnOp) -> None:
    """What an operation needs before it is tried; what it reads is left out of the results instead. Raises Denied."""
    _OPS[type(op)](access, store, op)


def _kv(access: Access, store: Store, op: TxnKV) -> None:
    if op.verb in {"get", "get-tree", "get-or-empty"}:
        return
    if op.verb == "delete-tree":
        access.require_tree("key", op.key)
    elif op.verb in {"check-index", "check-session", "check-not-exists"}:
        access.require("key", "read", op.key)
    else:
        access.require("key", "write", op.key)


def _node(access: Access, store: Store, op: TxnNode) -> None:
    if op.verb != "get":
        access.require("node", "write", op.node.name)


def _service(access: Access, store: Store, op: TxnService) -> None:
    if op.verb == "get":
        return
    held = _instance(store, op.node, op.service.id or op.service.name)
    name = op.service.name or (held.name if held is not None else "")
    access.require("service", "write", name)
    if held is not None and held.name != name:
        access.require("service", "write", held.name)


def _check(access: Access, store: Store, op: TxnCheck) -> None:
    if op.verb == "get":
        return
    check = op.check
    held = store.registrations.checks.get((check.node.lower(), check.check_id.lower()))
    if held is not None and held.service_name:
        access.require("service", "write", held.service_name)
    _require_check(access, store, check.node, check, None)


_OPS: dict[type, Callable[[Access, Store, Any], None]] = {
    TxnKV: _kv,
    TxnNode: _node,
    TxnService: _service,
    TxnCheck: _check,
}


def row_seen(row: Any, access: Access) -> bool:
    """Whether a result of a transaction may be seen."""
    allows = access.authorizer.allows
    if isinstance(row, KVEntry):
        return allows("key", row.key, "read")
    if isinstance(row, Node):
        return allows("node", row.name, "read")
    if isinstance(row, Service):
        return allows("service", row.name, "read")
    if isinstance(row, Check):
        return allows("service", row.service_name, "read") if row.service_name else allows("node", row.node, "read")
    return False
