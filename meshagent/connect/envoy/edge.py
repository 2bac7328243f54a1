"""The resources of an ingress or API gateway: listeners for the world, routes by host, clusters of the mesh.

Source: surface rows X15, X16, M27, M31-M34; ingress.json and api-gateway.json of the golden mesh data. What may change
here: further filters of a listener.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.connect.envoy import (
    connection_manager,
    edge_tls,
    faults,
    jwt,
    listeners,
    names,
    principals,
    routes,
    sidecar,
    tls,
    tracing,
)
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, Resources, typed
from meshagent.connect.gateways.edge import Edge, EdgeListener, VirtualHost
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["edge"]

_RBAC = "envoy.filters.http.rbac"
_RBAC_TYPES = "envoy.extensions.filters.http.rbac.v3."


def edge(snapshot: ProxySnapshot) -> Resources:
    """All resources of the gateway. Before there is a leaf it has none."""
    found = Resources()
    gateway = snapshot.gateway
    if not isinstance(gateway, Edge) or not snapshot.leaf_chain or not snapshot.roots:
        return found
    by_key = {one.key: one for one in snapshot.outbound}
    for outbound in snapshot.outbound:
        if outbound.chain is not None:
            sidecar.resolvers(found, snapshot, outbound, outbound.chain)
    for listener in gateway.listeners:
        if listener.ready:
            continue
        upstream = by_key.get(listener.upstream)
        if listener.is_http:
            for name, hosts in _shared(listener).items():
                found.routes[name] = _routes(snapshot, listener, name, hosts, by_key)
        elif upstream is None or upstream.chain is None:
            continue
        for address in gateway.addresses:
            made = _listener(snapshot, listener, address, upstream)
            found.listeners[made["name"]] = made
    if any(host.tokens for one in gateway.listeners for host in one.hosts):
        found.clusters.update(jwt.clusters_of(snapshot.jwt_providers))
    found.clusters.update(tracing.clusters(snapshot))
    return found


def _shared(listener: EdgeListener) -> dict[str, list[VirtualHost]]:
    """Hosts by their route configuration: hosts with a certificate of their own have one of their own."""
    found: dict[str, list[VirtualHost]] = {}
    for host in listener.hosts:
        found.setdefault(_route_name(listener, host), []).append(host)
    return found


def _route_name(listener: EdgeListener, host: VirtualHost) -> str:
    return f"{listener.port}_{host.name}" if host.sds is not None else str(listener.port)


def _routes(
    snapshot: ProxySnapshot,
    listener: EdgeListener,
    name: str,
    hosts: Iterable[VirtualHost],
    by_key: dict[str, Outbound],
) -> Resource:
    made = []
    for host in hosts:
        outbound = by_key.get(host.upstream)
        if outbound is None or outbound.chain is None:
            continue
        found = routes.of_chain(outbound.chain, routes.options_of(snapshot, outbound))
        issuers = {one.name: one.issuer for one in snapshot.jwt_providers}
        for route, wanted in zip(found, host.tokens, strict=False):
            if wanted is not None:
                own = route.setdefault("typed_per_filter_config", {})
                own[_RBAC] = _demand(principals.token(wanted, issuers, "ids"))
        domains = _domains(host.domains, listener.port)
        made.append(routes.virtual_host(host.name, domains, found, host.request, host.response))
    return routes.configuration(name, made)


def _domains(patterns: tuple[str, ...], port: int) -> list[str]:
    """With and without the port of the listener, unless a port was written."""
    plain = [one for one in patterns if ":" not in one]
    found = [*patterns, *(f"{one}:{port}" for one in plain if one != "*")]
    return list(dict.fromkeys(found))


def _listener(snapshot: ProxySnapshot, listener: EdgeListener, address: str, upstream: Outbound | None) -> Resource:
    first = upstream.name if upstream is not None else listener.protocol
    chains: list[Resource] = []
    own = [host for host in listener.hosts if host.sds is not None]
    settings = listener.tls
    chains += [
        {
            "filter_chain_match": {"server_names": list(host.domains)},
            "filters": [_manager(snapshot, listener, _route_name(listener, host))],
            "transport_socket": edge_tls.socket_of_sds(settings, host.sds, tls.alpn_of(listener.protocol)),
        }
        for host in own
        if settings is not None and host.sds is not None
    ]
    if settings is None:
        chains.append({"filters": [_filter(snapshot, listener, str(listener.port), upstream)]})
    elif len(own) < len(listener.hosts) or not listener.is_http:
        for way in edge_tls.shown(snapshot, listener, settings):
            chain: Resource = {
                "filters": [_filter(snapshot, listener, way.name or str(listener.port), upstream)],
                "transport_socket": way.socket,
            }
            if way.server_names:
                chain["filter_chain_match"] = {"server_names": list(way.server_names)}
            chains.append(chain)
    name = f"{first}:{names.at(address, listener.port)}"
    found = listeners.listener(snapshot, name, socket_address(address, listener.port), "OUTBOUND", chains)
    if settings is not None and (settings.certificates or own):
        found["listener_filters"] = [edge_tls.INSPECTOR]
    return found


def _filter(snapshot: ProxySnapshot, listener: EdgeListener, stat: str, upstream: Outbound | None) -> Resource:
    if upstream is not None and upstream.chain is not None:
        return listeners.upstream_filter(snapshot, upstream, upstream.chain)
    return _manager(snapshot, listener, str(listener.port), stat)


def _manager(snapshot: ProxySnapshot, listener: EdgeListener, rds: str, stat: str = "") -> Resource:
    tokens = any(host.tokens for host in listener.hosts)
    filters: list[Resource] = []
    if tokens:
        reader = jwt.filter_of(snapshot.jwt_providers)
        filters += [reader] if reader is not None else []
        filters.append({"name": _RBAC, "typed_config": typed(_RBAC_TYPES + "RBAC")})
    upstreams = {host.upstream for host in listener.hosts}
    if any(routes.has_faults(one) for one in snapshot.outbound if one.key in upstreams):
        filters.append(faults.FILTER)
    return connection_manager.Manager(
        f"ingress_upstream_{stat or rds}",
        listener.protocol,
        rds=rds,
        config=snapshot.config,
        filters=tuple(filters),
        logs=snapshot.observing.access_logs,
        # Who has to bring a token is told by the path: it must mean the same here and there.
        mesh=snapshot.mesh if tokens else None,
        tracing=tracing.of_snapshot(snapshot),
    ).filter()


def _demand(principal: Resource) -> Resource:
    """A route that only those with the token may take."""
    policy = {"permissions": [{"any": True}], "principals": [principal]}
    rules = {"action": "ALLOW", "policies": {"consul-tokens": policy}}
    return typed(_RBAC_TYPES + "RBACPerRoute", {"rbac": {"rules": rules}})
