"""Short ways to make catalog rows and commands in tests."""

from __future__ import annotations

from typing import Any

from meshagent.catalog.commands import Deregister, Register
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.store import Store


def node(name: str = "n1", address: str = "10.0.0.1", **fields: Any) -> Node:
    return Node(name=name, address=address, datacenter="dc1", **fields)


def service(name: str = "web", service_id: str = "", **fields: Any) -> Service:
    return Service(name=name, id=service_id or name, **fields)


def check(check_id: str, status: str = "passing", **fields: Any) -> Check:
    return Check(check_id=check_id, name=check_id, status=status, **fields)


def register(store: Store, on: Node, what: Service | None = None, *checks: Check, skip: bool = False) -> int:
    """Register and return the index it got."""
    store.execute(Register(on, what, checks, skip))
    store.flush()
    return store.index


def deregister(store: Store, on: str, service_id: str = "", check_id: str = "") -> int:
    """Deregister and return the index it got."""
    store.execute(Deregister(on, service_id, check_id))
    store.flush()
    return store.index
