"""What the endpoints of the agent itself need: services, checks and proxies that are registered on this host.

Source: surface rows A5-A17, L6, L10. Pure. What may change here: another kind of local thing is another function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from meshagent.agent.acl.access import Access
from meshagent.agent.definitions import ServiceDefinition
from meshagent.agent.http.response import Headers
from meshagent.agent.http.views import FILTERED
from meshagent.agent.local import LocalState
from meshagent.catalog.model import Check

if TYPE_CHECKING:
    from meshagent.agent.http.request import Request

__all__ = [
    "check_allows",
    "registered_names",
    "require_check",
    "require_new_check",
    "require_proxy",
    "require_service",
    "seen",
]

T = TypeVar("T")


def seen(request: Request, rows: Iterable[T], visible: Callable[[T], bool]) -> tuple[list[T], Headers]:
    """The rows that may be seen, and the header that says that there are others."""
    access = request.access
    given = list(rows)
    if access.sees_all:
        return given, ()
    kept = [row for row in given if visible(row)]
    return kept, (FILTERED,) if len(kept) < len(given) and not access.anonymous else ()


def registered_names(local: LocalState, definition: ServiceDefinition) -> list[str]:
    """The names that registering a definition writes: its own, that of what it replaces, that of its sidecar."""
    names = [definition.name]
    held = local.services.get(definition.id or definition.name)
    if held is not None:
        names.append(held.service.name)
    connect = definition.connect
    if connect is not None and connect.sidecar_service is not None:
        names.append(connect.sidecar_service.name or f"{definition.name}-sidecar-proxy")
    return list(dict.fromkeys(names))


def require_service(local: LocalState, access: Access, service_id: str) -> None:
    """Raises Denied unless an instance may be changed; one that is unknown is for the caller to refuse."""
    held = local.services.get(service_id)
    if held is not None:
        access.require("service", "write", held.service.name)
    else:
        _ = access.sees_all  # a token that does not exist is refused first


def require_new_check(local: LocalState, access: Access, service_id: str) -> None:
    """Raises Denied unless a check of that instance ("": of the node) may be registered."""
    held = local.services.get(service_id) if service_id else None
    if held is not None:
        access.require("service", "write", held.service.name)
    else:
        access.require("node", "write", local.node_name)


def require_check(local: LocalState, access: Access, check_id: str) -> None:
    """Raises Denied unless a check may be changed."""
    held = local.checks.get(check_id)
    if held is None:
        _ = access.sees_all
    elif held.check.service_name:
        access.require("service", "write", held.check.service_name)
    else:
        access.require("node", "write", local.node_name)


def check_allows(access: Access, level: str, check: Check) -> bool:
    """Whether a check may be read or written: by its service, or its node."""
    if check.service_name:
        return access.allows("service", level, check.service_name)
    return access.allows("node", level, check.node)


def require_proxy(local: LocalState, access: Access, proxy_id: str) -> None:
    """Raises Denied unless the service that a proxy stands for may be written: its snapshot holds that one's key."""
    held = local.services.get(proxy_id)
    if held is None:
        _ = access.sees_all
        return
    access.require("service", "write", held.service.proxy.destination_service_name or held.service.name)
