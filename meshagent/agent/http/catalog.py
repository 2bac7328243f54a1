"""`/v1/catalog/*` reads: nodes, services, instances. The writes are in `catalog_write.py`.

Source: surface rows CT3-CT10; developer.hashicorp.com/consul/api-docs/catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.agent.acl import visible
from meshagent.agent.acl.guards import named, needs
from meshagent.agent.http.fragments import encode_catalog
from meshagent.agent.http.narrow import filtered, narrow, node_meta, peer_of, with_central_config
from meshagent.agent.http.reads import NothingToSee
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.shapes import NodeServiceList, NodeServices
from meshagent.catalog import queries
from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.catalog.peering.imported import peer_topic
from meshagent.catalog.queries import Result
from meshagent.connect.central import merged
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


def _node_name(node: Node) -> str:
    return node.name


def _entry_node(entry: ServiceEntry) -> str:
    return entry.node.name


async def _datacenters(agent: Agent, request: Request) -> Response:
    known = agent.extras.get("datacenters")
    rows = [agent.datacenter] if known is None else known.names()
    headers = (("X-Cache", "HIT"), ("Age", "0")) if request.query.has("cached") else ()
    try:
        _ = request.options
    except BadRequest as error:  # Consul writes the list behind the message here
        raise BadRequest(f"{error}{encode_json(rows).decode()}") from error
    return json_response(rows, headers=headers)


def _nodes(agent: Agent, request: Request) -> Result[Any]:
    result = queries.nodes(agent.store, node_meta(request), peer_of(request))
    return narrow(agent, request, result, "node", _node_name)


def _services(agent: Agent, request: Request) -> Result[Any]:
    meta, peer = node_meta(request), peer_of(request)
    result = queries.services(agent.store, meta, peer)
    if not request.options.filter:
        return result
    found = [queries.service_nodes(agent.store, name, node_meta=meta, peer=peer) for name in result.rows]
    entries = [entry for service in found for entry in service.rows]
    tags: dict[str, dict[str, None]] = {}
    for entry in filtered(request, "catalog_service", entries):
        tags.setdefault(entry.service.name, {}).update(dict.fromkeys(entry.service.tags))
    rows = {name: tuple(of_service) for name, of_service in tags.items()}
    return Result(rows, result.index, (*result.topics, peer_topic(peer, "nodes")))


def _service(agent: Agent, request: Request) -> Result[Any]:
    return _instances(agent, request, connect=False)


def _connect(agent: Agent, request: Request) -> Result[Any]:
    return _instances(agent, request, connect=True)


def _connect_guard(agent: Agent, request: Request) -> None:
    if not request.access.allows("service", "read", request.name):
        raise NothingToSee


def _instances(agent: Agent, request: Request, *, connect: bool) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing service name")
    result = queries.service_nodes(
        agent.store,
        request.name,
        tags=request.query.all("tag"),
        connect=connect,
        node_meta=node_meta(request),
        peer=peer_of(request),
    )
    return narrow(agent, request, with_central_config(agent, request, result), "catalog_service", _entry_node)


def _encode_instances(rows: list[ServiceEntry], request: Request) -> bytes:
    return encode_catalog(rows, request.memo)


def _node(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing node name")
    result = queries.node_services(agent.store, request.name, peer_of(request))
    if not request.query.has("merge-central-config") or result.rows is None:
        return _filtered_services(request, result)
    entries = agent.store.config.watched()
    services = [merged(service, entries) for service in result.rows[1]]
    return _filtered_services(
        request, Result((result.rows[0], services), result.index, (*result.topics, *entries.topics))
    )


def _filtered_services(request: Request, result: Result[tuple[Node, list[Service]] | None]) -> Result[Any]:
    found = result.rows
    services = filtered(request, "agent_service", found[1] if found is not None else [])
    return Result((found[0], services) if found is not None else None, result.index, result.topics)


def _encode_node(rows: tuple[Node, list[Service]] | None, _: Request) -> bytes:
    if rows is None:
        return b"null"
    node, services = rows
    return encode_json(NodeServices(node, {service.id: service for service in services}))


def _encode_node_list(rows: tuple[Node, list[Service]] | None, _: Request) -> bytes:
    if rows is None:
        return encode_json(NodeServiceList(None, None))
    return encode_json(NodeServiceList(rows[0], rows[1] if rows[1] != [] else None))


def _gateway_services(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing gateway name")
    return queries.gateway_services(agent.store, request.name)


ROUTES = (
    Route(
        row="CT3", method="GET", path="/v1/catalog/datacenters", flags="Ks", handle=_datacenters, tenancy="",
        summary="known datacenters, nearest first", example="curl localhost:8500/v1/catalog/datacenters",
    ),
    Route(
        row="CT4", method="GET", path="/v1/catalog/nodes",
        visible=visible.nodes,
        acl="node:read", flags="B C F N M", filter="node",
        effective=True, discovery=True, tenancy="partition", read=_nodes,
        summary="all nodes", example="curl localhost:8500/v1/catalog/nodes",
    ),
    Route(
        row="CT5", method="GET", path="/v1/catalog/services",
        visible=visible.service_names,
        acl="service:read", flags="B C Kb F M",
        filter="catalog_service", effective=True, discovery=True, read=_services,
        summary="service names with all their tags", example="curl localhost:8500/v1/catalog/services",
    ),
    Route(
        row="CT6", method="GET", path="/v1/catalog/service/",
        visible=visible.entries,
        acl="node:read, service:read", flags="B C Kb F N M",
        filter="catalog_service", effective=True, discovery=True, lookup="catalog.service",
        read=_service, encode=_encode_instances,
        summary="instances of a service, without checks", example="curl localhost:8500/v1/catalog/service/web",
    ),
    Route(
        row="CT7", method="GET", path="/v1/catalog/connect/",
        guard=_connect_guard, visible=visible.entries,
        acl="node:read, service:read", flags="B C Kb F N M",
        filter="catalog_service", effective=True, discovery=True, lookup="catalog.connect",
        read=_connect, encode=_encode_instances,
        summary="instances that give mesh access to a service", example="curl localhost:8500/v1/catalog/connect/web",
    ),
    Route(
        row="CT8", method="GET", path="/v1/catalog/node/",
        visible=visible.node_services,
        acl="node:read, service:read", flags="B C F",
        filter="agent_service", effective=True, discovery=True, read=_node, encode=_encode_node,
        summary="a node with its services by id", example="curl localhost:8500/v1/catalog/node/host-1",
    ),
    Route(
        row="CT9", method="GET", path="/v1/catalog/node-services/",
        visible=visible.node_services,
        acl="node:read, service:read", flags="B C F",
        filter="agent_service", effective=True, discovery=True, read=_node, encode=_encode_node_list,
        summary="a node with its services as a list", example="curl localhost:8500/v1/catalog/node-services/host-1",
    ),
    Route(
        row="CT10", method="GET", path="/v1/catalog/gateway-services/",
        guard=needs("service", "read", named), visible=visible.gateway_services,
        acl="service:read", flags="B C",
        effective=True, discovery=True, read=_gateway_services,
        summary="services behind an ingress or terminating gateway",
        example="curl localhost:8500/v1/catalog/gateway-services/ingress",
    ),
)  # fmt: skip
