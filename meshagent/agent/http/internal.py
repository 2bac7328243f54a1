"""`/v1/internal/ui`: what the web page reads.

Source: surface rows IN1-IN5; developer.hashicorp.com/consul/api-docs/internal; recorded answers of a running Consul.
What may change here: nothing that a page of Consul's reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl import visible
from meshagent.agent.acl.access import Access
from meshagent.agent.acl.guards import named, needs
from meshagent.agent.acl.visible import instance_seen
from meshagent.agent.http.intention_shapes import default_of, shown
from meshagent.agent.http.narrow import filtered, peer_of
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import FILTERED
from meshagent.catalog import overviews, queries
from meshagent.catalog.entries.ingress_gateway import IngressGateway
from meshagent.catalog.exports import exported_to
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.connect.topology import Edge

__all__ = ["ROUTES"]

_TOPOLOGY_KINDS = frozenset({"", "ingress-gateway"})


def _index(agent: Agent, peer: str = "") -> int:
    registrations = agent.store.place(peer)
    return max(1, *(registrations.index(table) for table in ("nodes", "services", "checks")))


# --- nodes and services ----------------------------------------------------------------------------------------


def _nodes(agent: Agent, request: Request) -> Result[Any]:
    peer = peer_of(request)
    rows = filtered(request, "node_dump", overviews.node_dumps(agent.store, peer=peer))
    return Result(rows, _index(agent, peer), overviews.topics_of(peer))


def _node(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing node name")
    peer = peer_of(request)
    found = overviews.node_dumps(agent.store, request.name, peer)
    if not found:
        raise NotFound("")
    return Result(found[0], _index(agent, peer), overviews.topics_of(peer))


def _shown(row: overviews.NodeDump) -> dict[str, Any]:
    """As Consul writes it here: without tags there is null, not an empty list."""
    return {
        **msgspec.to_builtins(row),
        "Services": [{**one, "Tags": one["Tags"] or None} for one in msgspec.to_builtins(row.services)],
        "Checks": [{**one, "ServiceTags": one["ServiceTags"] or None} for one in msgspec.to_builtins(row.checks)],
    }


def _encode_nodes(rows: list[overviews.NodeDump], _: Request) -> bytes:
    return encode_json([_shown(row) for row in rows])


def _encode_node(row: overviews.NodeDump | None, _: Request) -> bytes | Response:
    return Response(404, bare=True) if row is None else encode_json(_shown(row))


def _visible_node(row: overviews.NodeDump, access: Access, _: Request) -> tuple[Any, bool]:
    allows = access.authorizer.allows
    if not allows("node", row.node, "read"):
        return None, False  # as if there were none: not even that something is left out
    services = [one for one in row.services if allows("service", one.name, "read")]
    checks = [one for one in row.checks if not one.service_name or allows("service", one.service_name, "read")]
    hidden = len(services) < len(row.services) or len(checks) < len(row.checks)
    return msgspec.structs.replace(row, services=services, checks=checks) if hidden else row, hidden


def _visible_nodes(rows: list[overviews.NodeDump], access: Access, request: Request) -> tuple[Any, bool]:
    found = [_visible_node(row, access, request) for row in rows]
    return [row for row, _ in found if row is not None], any(hidden or row is None for row, hidden in found)


def _services(agent: Agent, request: Request) -> Result[Any]:
    seen, peer = _Seen(request.access), peer_of(request)
    rows = overviews.summaries(agent.store, lambda entries: seen.of(filtered(request, "service_entry", entries)), peer)
    return Result((rows, seen.hidden), _index(agent, peer), overviews.topics_of(peer))


class _Seen:
    """Lets the instances through that a token may see; `hidden` says that there were others."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.hidden = False

    def of(self, entries: list[ServiceEntry]) -> list[ServiceEntry]:
        if self._access.sees_all:
            return entries
        kept = [entry for entry in entries if instance_seen(entry, self._access)]
        self.hidden = self.hidden or (len(kept) < len(entries) and not self._access.anonymous)
        return kept


def _encode_seen(rows: tuple[Any, bool], _: Request) -> bytes | Response:
    body = encode_json(rows[0])
    return Response(200, body, (FILTERED,), JSON) if rows[1] else body


async def _catalog_overview(agent: Agent, request: Request) -> Response:
    await agent.log.read_barrier()
    return json_response(overviews.health_counts(agent.store))


# --- neighbours ------------------------------------------------------------------------------------------------


def _service_topology(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing service name")
    kind = request.query.get("kind")
    if kind is None:
        raise BadRequest("Missing service kind")
    if kind not in _TOPOLOGY_KINDS:
        raise BadRequest(f'Unsupported service kind "{kind}"')
    from meshagent.connect.topology import topology  # where somebody looks at the page

    found = topology(agent.store, request.name, kind, default_of(agent))
    rows = {
        "Protocol": found.protocol,
        "TransparentProxy": found.transparent_proxy,
        "Upstreams": [_edge(edge) for edge in found.upstreams],
        "Downstreams": [_edge(edge) for edge in found.downstreams],
        "FilteredByACLs": False,
    }
    return Result(rows, max(agent.store.config.index, _index(agent)), overviews.TOPICS)


def _visible_topology(rows: dict[str, Any], access: Access, _: Request) -> tuple[Any, bool]:
    kept = {
        side: [edge for edge in rows[side] if access.authorizer.allows("service", edge["Name"], "read")]
        for side in ("Upstreams", "Downstreams")
    }
    hidden = any(len(kept[side]) < len(rows[side]) for side in kept)
    return {**rows, **kept, "FilteredByACLs": hidden}, hidden


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(edge.service),
        "Source": edge.source,
        "Intention": msgspec.to_builtins(edge.intention),
    }


# --- gateways --------------------------------------------------------------------------------------------------


def _behind(agent: Agent, request: Request) -> Result[Any]:
    """The services behind a gateway, and where an ingress gateway lets them in."""
    if not request.name:
        raise BadRequest("Missing gateway name")
    store = agent.store
    behind = queries.gateway_services(store, request.name)
    ingress = isinstance(store.config.get("ingress-gateway", request.name), IngressGateway)
    addresses: dict[str, list[str]] = {}
    for row in behind.rows:
        hosts = row.hosts or (f"{row.service.name}.ingress.*",) if ingress else ()
        addresses.setdefault(row.service.name, []).extend(f"{host}:{row.port}" for host in hosts)
    seen = _Seen(request.access)
    rows = [
        overviews.summary(store, entries, overviews.GatewayConfig(addresses=tuple(found)))
        for name, found in addresses.items()
        if (entries := seen.of(list(store.registrations.entries(name))))
    ]
    return Result((rows, seen.hidden), behind.index, (*behind.topics, *overviews.TOPICS))


def _intentions(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing gateway name")
    from meshagent.connect.topology import gateway_intentions

    rows = [shown(one) for one in gateway_intentions(agent.store, request.name)]
    return Result(rows, agent.store.config.index, overviews.TOPICS)


def _exported(agent: Agent, request: Request) -> Result[Any]:
    peer = request.query.get("peer")
    if not peer:
        raise InternalError("must provide PeerName")
    found = exported_to(agent.store, peer)
    rows = overviews.exported(agent.store, found.rows, agent.datacenter)
    return Result(rows, found.index, (*found.topics, *overviews.TOPICS))


def _visible_summaries(rows: list[overviews.Overview], access: Access, _: Request) -> tuple[Any, bool]:
    kept = [row for row in rows if access.authorizer.allows("service", row.name, "read")]
    return kept, len(kept) < len(rows)


def _all_guard(agent: Agent, request: Request) -> None:
    """Figures of every node and service are behind the proxy."""
    for resource in ("node", "service"):
        if not request.access.authorizer.allows_all(resource):
            request.access.require_tree(resource, "", "read")


async def _metrics_proxy(agent: Agent, request: Request) -> Response:
    from meshagent.agent.http.metrics_proxy import metrics_proxy

    return await metrics_proxy(agent, request)


ROUTES = (
    Route(
        row="IN1", method="GET", path="/v1/internal/ui/nodes", acl="node:read, service:read", flags="B C F",
        visible=_visible_nodes,
        filter="node_dump", meta_on_error=True, read=_nodes, encode=_encode_nodes,
        summary="nodes with services and checks", example="curl localhost:8500/v1/internal/ui/nodes",
    ),
    Route(
        row="IN1", method="GET", path="/v1/internal/ui/node/", acl="node:read, service:read", flags="B C",
        read=_node, encode=_encode_node, visible=_visible_node,
        summary="one node with services and checks", example="curl localhost:8500/v1/internal/ui/node/host-1",
    ),
    Route(
        row="IN2", method="GET", path="/v1/internal/ui/services", acl="node:read, service:read", flags="B C F",
        filter="service_entry", asks=True, meta_on_error=True, read=_services, encode=_encode_seen,
        summary="services with counts", example="curl localhost:8500/v1/internal/ui/services",
    ),
    Route(
        row="IN3", method="GET", path="/v1/internal/ui/catalog-overview", acl="operator:read",
        guard=needs("operator", "read"), handle=_catalog_overview,
        summary="counts by health", example="curl localhost:8500/v1/internal/ui/catalog-overview",
    ),
    Route(
        row="IN4", method="GET", path="/v1/internal/ui/service-topology/", acl="service:read", flags="B",
        guard=needs("service", "read", named), visible=_visible_topology, meta_on_error=True,
        read=_service_topology,
        summary="upstreams and downstreams of a service",
        example="curl 'localhost:8500/v1/internal/ui/service-topology/web?kind='",
    ),
    Route(
        row="IN5", method="GET", path="/v1/internal/ui/gateway-services-nodes/", acl="service:read", flags="B",
        guard=needs("service", "read", named), asks=True, read=_behind, encode=_encode_seen,
        summary="services behind a gateway", example="curl localhost:8500/v1/internal/ui/gateway-services-nodes/in",
    ),
    Route(
        row="IN5", method="GET", path="/v1/internal/ui/gateway-intentions/", acl="service:read",
        flags="B", guard=needs("service", "read", named), visible=visible.intentions, read=_intentions,
        summary="intentions behind a gateway", example="curl localhost:8500/v1/internal/ui/gateway-intentions/in",
    ),
    Route(
        row="IN5", method="GET", path="/v1/internal/ui/exported-services", acl="service:read", flags="B",
        visible=_visible_summaries, meta_on_error=True, read=_exported,
        summary="services exported to a peer",
        example="curl 'localhost:8500/v1/internal/ui/exported-services?peer=east'",
    ),
    Route(
        row="IN5", method="GET", path="/v1/internal/ui/metrics-proxy/", acl="node:read, service:read",
        guard=_all_guard, handle=_metrics_proxy,
        summary="the metrics proxy of the web page",
        example="curl localhost:8500/v1/internal/ui/metrics-proxy/api/v1/query",
    ),
)  # fmt: skip
