"""`/v1/health/*`: checks and healthy instances.

Source: surface rows HL1-HL6; developer.hashicorp.com/consul/api-docs/health. `health/service` is the read that
everything hangs on: it must stay a query, an encoding and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.agent.acl import visible
from meshagent.agent.acl.guards import named, needs
from meshagent.agent.http.fragments import encode_entries
from meshagent.agent.http.narrow import narrow, node_meta, peer_of, with_central_config
from meshagent.agent.http.request import Request, parse_bool
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog import queries
from meshagent.catalog.model import Check, ServiceEntry
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


def _of_table(agent: Agent, request: Request, result: Result[Any]) -> Result[Any]:
    """Lists of checks carry the index of the whole table."""
    store, peer = agent.store, peer_of(request)
    return LiveResult(result.rows, result.index, result.topics, lambda: store.place(peer).index("checks") or 1)


def _check_node(check: Check) -> str:
    return check.node


def _entry_node(entry: ServiceEntry) -> str:
    return entry.node.name


def _node(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing node name")
    result = queries.health_node(agent.store, request.name, peer_of(request))
    return _of_table(agent, request, narrow(agent, request, result, "check", _check_node))


def _checks(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing service name")
    result = queries.health_checks(agent.store, request.name, node_meta(request), peer_of(request))
    return _of_table(agent, request, narrow(agent, request, result, "check", _check_node))


def _state(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing check state")
    result = queries.health_state(agent.store, request.name, node_meta(request), peer_of(request))
    return _of_table(agent, request, narrow(agent, request, result, "check", _check_node))


def _service(agent: Agent, request: Request) -> Result[Any]:
    return _instances(agent, request, connect=False)


def _connect(agent: Agent, request: Request) -> Result[Any]:
    return _instances(agent, request, connect=True)


def _ingress(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing service name")
    result = queries.health_ingress(agent.store, request.name, passing=_passing(request), node_meta=node_meta(request))
    return narrow(agent, request, result, "service_entry", _entry_node)


def _instances(agent: Agent, request: Request, *, connect: bool) -> Result[list[ServiceEntry]]:
    if not request.name:
        raise BadRequest("Missing service name")
    result = queries.health_service(
        agent.store,
        request.name,
        tags=request.query.all("tag"),
        connect=connect,
        passing=_passing(request),
        node_meta=node_meta(request),
        peer=peer_of(request),
    )
    return narrow(agent, request, with_central_config(agent, request, result), "service_entry", _entry_node)


def _passing(request: Request) -> bool:
    text = request.query.get("passing")
    if not text:
        return text is not None
    try:
        return parse_bool(text)
    except ValueError:
        raise BadRequest("Invalid value for ?passing") from None


def _encode(rows: list[ServiceEntry], request: Request) -> bytes:
    return encode_entries(rows, request.memo)


ROUTES = (
    Route(
        row="HL1", method="GET", path="/v1/health/node/",
        visible=visible.checks,
        acl="node:read, service:read", flags="B C F",
        filter="check", effective=True, discovery=True, read=_node,
        summary="all checks of a node", example="curl localhost:8500/v1/health/node/host-1",
    ),
    Route(
        row="HL2", method="GET", path="/v1/health/checks/",
        visible=visible.checks,
        acl="node:read, service:read", flags="B C F N M",
        filter="check", effective=True, discovery=True, read=_checks,
        summary="the checks of a service's instances", example="curl localhost:8500/v1/health/checks/web",
    ),
    Route(
        row="HL3", method="GET", path="/v1/health/service/",
        visible=visible.entries,
        acl="node:read, service:read", flags="B C Kb F N M",
        filter="service_entry", effective=True, discovery=True, streaming=True, lookup="health.service",
        read=_service, encode=_encode,
        summary="instances of a service with node and checks",
        example="curl localhost:8500/v1/health/service/web?passing",
    ),
    Route(
        row="HL4", method="GET", path="/v1/health/connect/",
        guard=needs("service", "read", named, bare=True), visible=visible.entries,
        acl="node:read, service:read", flags="B C Kb F N M",
        filter="service_entry", effective=True, discovery=True, streaming=True, lookup="health.connect",
        read=_connect, encode=_encode,
        summary="instances that give mesh access to a service", example="curl localhost:8500/v1/health/connect/web",
    ),
    Route(
        row="HL5", method="GET", path="/v1/health/ingress/",
        guard=needs("service", "read", named, bare=True), visible=visible.entries,
        acl="node:read, service:read", flags="B C Kb F N M",
        filter="service_entry", effective=True, discovery=True, streaming=True, read=_ingress, encode=_encode,
        summary="ingress gateways that expose a service", example="curl localhost:8500/v1/health/ingress/web",
    ),
    Route(
        row="HL6", method="GET", path="/v1/health/state/",
        visible=visible.checks,
        acl="node:read, service:read", flags="B C F N M",
        filter="check", effective=True, discovery=True, read=_state,
        summary="the checks in a state (any, passing, warning, critical)",
        example="curl localhost:8500/v1/health/state/critical",
    ),
)  # fmt: skip
