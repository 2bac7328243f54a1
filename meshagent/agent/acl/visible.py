"""What of an answer a token may see: one function for each kind of rows, named in the rows of the endpoint table.

Each takes rows, the access, and the request, and gives the rows that may be seen and whether any were left out (surface
row C18). Source: surface rows L1-L12, M20; the golden scenarios acl-filtered and acl-denied-*. Pure.

What may change here: another kind of rows is another function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from meshagent.agent.acl.access import Access
from meshagent.catalog.model import Check, CoordinateRow, KVEntry, Node, PreparedQuery, Service, ServiceEntry, Session

if TYPE_CHECKING:
    from meshagent.agent.http.request import Request

__all__ = [
    "Visible",
    "checks",
    "coordinates",
    "entries",
    "gateway_services",
    "instance_seen",
    "intentions",
    "keys",
    "node_services",
    "nodes",
    "of_service",
    "prepared_queries",
    "service_names",
    "sessions",
]

Visible: TypeAlias = "Callable[[Any, Access, Request], tuple[Any, bool]]"

T = TypeVar("T")


def _kept(rows: Iterable[T], seen: Callable[[T], bool]) -> tuple[list[T], bool]:
    given = list(rows)
    kept = [row for row in given if seen(row)]
    return kept, len(kept) < len(given)


def _node(access: Access, name: str) -> bool:
    return access.authorizer.allows("node", name, "read")


def _service(access: Access, name: str) -> bool:
    return access.authorizer.allows("service", name, "read")


def nodes(rows: list[Node], access: Access, request: Request) -> tuple[Any, bool]:
    """Nodes."""
    return _kept(rows, lambda row: _node(access, row.name))


def service_names(rows: dict[str, Any], access: Access, request: Request) -> tuple[Any, bool]:
    """Anything by the name of a service."""
    kept = {name: value for name, value in rows.items() if _service(access, name)}
    return kept, len(kept) < len(rows)


def instance_seen(entry: ServiceEntry, access: Access) -> bool:
    """Whether an instance may be seen: its node and its service."""
    return _node(access, entry.node.name) and _service(access, entry.service.name)


def entries(rows: list[ServiceEntry], access: Access, request: Request) -> tuple[Any, bool]:
    """Instances."""
    return _kept(rows, lambda row: instance_seen(row, access))


def node_services(rows: tuple[Node, list[Service]] | None, access: Access, request: Request) -> tuple[Any, bool]:
    """A node with its services: nothing of a node that may not be seen."""
    if rows is None:
        return None, False
    node, services = rows
    if not _node(access, node.name):
        return None, True
    kept, hidden = _kept(services, lambda row: _service(access, row.name))
    # Where nothing is left a list says so, and null where there was nothing.
    return (node, kept if kept or not hidden else ()), hidden


def checks(rows: list[Check], access: Access, request: Request) -> tuple[Any, bool]:
    """Checks: of a service by its name, too."""
    return _kept(
        rows,
        lambda row: _node(access, row.node) and (not row.service_name or _service(access, row.service_name)),
    )


def keys(rows: Any, access: Access, request: Request) -> tuple[Any, bool]:
    """Keys, whole or by name; a single one was asked of the guard."""
    if not isinstance(rows, list):
        return rows, False
    return _kept(
        rows, lambda row: access.authorizer.allows("key", row.key if isinstance(row, KVEntry) else row, "read")
    )


def sessions(rows: Any, access: Access, request: Request) -> tuple[Any, bool]:
    """Sessions by their node: a list, or one."""
    if rows is None:
        return None, False
    if isinstance(rows, Session):
        seen = access.authorizer.allows("session", rows.node, "read")
        return (rows, False) if seen else (None, True)
    return _kept(rows, lambda row: access.authorizer.allows("session", row.node, "read"))


def coordinates(rows: list[CoordinateRow], access: Access, request: Request) -> tuple[Any, bool]:
    """Coordinates by node."""
    return _kept(rows, lambda row: _node(access, row.node))


def of_service(field: str) -> Visible:
    """Rows that name a service in an attribute."""

    def visible(rows: list[Any], access: Access, request: Request) -> tuple[Any, bool]:
        return _kept(rows, lambda row: _service(access, getattr(row, field)))

    return visible


gateway_services = of_service("service")


def intentions(rows: list[dict[str, Any]], access: Access, request: Request) -> tuple[Any, bool]:
    """Intentions: of who may see one of its ends. They are not said to be missing."""
    allows = access.authorizer.allows
    kept, _ = _kept(
        rows,
        lambda row: (
            allows("intentions", row["SourceName"], "read") or allows("intentions", row["DestinationName"], "read")
        ),
    )
    return kept, False


def prepared_queries(rows: Any, access: Access, request: Request) -> tuple[Any, bool]:
    """Definitions: those without a name belong to operators; the token in one is shown to who may change it."""
    if rows is None:
        return None, False

    def seen(row: PreparedQuery) -> bool:
        return bool(row.name or row.template.type) and access.authorizer.allows("query", row.name, "read")

    if isinstance(rows, PreparedQuery):
        return redacted(rows, access), False
    kept, hidden = _kept(rows, seen)
    return [redacted(row, access) for row in kept], hidden


def redacted(row: PreparedQuery, access: Access) -> PreparedQuery:
    """A definition as the token may see it."""
    if not row.token or access.authorizer.allows("query", row.name, "write"):
        return row
    return msgspec.structs.replace(row, token="<hidden>")  # noqa: S106
