"""The resources of a sidecar: others call its service, its service calls others.

Source: surface rows X5, X8, X11, X12, X14, M74. What may change here: nothing that is a kind of resource of its own.
"""

from __future__ import annotations

from meshagent.connect.chain import Chain, ResolverNode
from meshagent.connect.envoy import clusters, endpoints, hatches, jwt, listeners, names, routes, tracing, transparent
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, Resources
from meshagent.connect.exposing import Exposed
from meshagent.connect.snapshot import Cluster, Inbound, Outbound, ProxySnapshot

__all__ = ["resolvers", "sidecar"]


def sidecar(snapshot: ProxySnapshot) -> Resources:
    """All resources of a `connect-proxy`. Before there is a leaf it has none.

    Raises:
        BadRequest: an escape hatch cannot be read.
    """
    found = Resources()
    if not snapshot.leaf_chain or not snapshot.roots:
        return found
    if snapshot.inbound is not None:
        _inbound(found, snapshot, snapshot.inbound)
    for outbound in snapshot.outbound:
        if outbound.chain is not None:
            _outbound(found, snapshot, outbound, outbound.chain)
    found.clusters.update(tracing.clusters(snapshot))
    if snapshot.transparent is not None:
        transparent.add(found, snapshot, snapshot.transparent)
    return found


def _inbound(found: Resources, snapshot: ProxySnapshot, inbound: Inbound) -> None:
    _add(found.clusters, hatches.local_cluster(snapshot) or clusters.local_app(snapshot, inbound))
    _add(found.listeners, hatches.public_listener(snapshot, inbound) or listeners.public(snapshot, inbound))
    found.clusters.update(jwt.clusters(snapshot))
    for exposed in snapshot.exposed:
        cluster = names.LOCAL_APP
        if exposed.local_port != inbound.local_port:
            cluster = names.exposed_cluster(exposed)
            found.clusters[cluster] = _exposed(snapshot, inbound, exposed)
        _add(found.listeners, listeners.exposed(snapshot, exposed, cluster))


def _exposed(snapshot: ProxySnapshot, inbound: Inbound, exposed: Exposed) -> Resource:
    address = socket_address(exposed.local_address, exposed.local_port)
    timeout = clusters.local_connect_timeout(snapshot, inbound)
    static = clusters.static(names.exposed_cluster(exposed), address, timeout)
    return {**static, **clusters.http2_options(exposed.protocol)}


def _outbound(found: Resources, snapshot: ProxySnapshot, outbound: Outbound, chain: Chain) -> None:
    resolvers(found, snapshot, outbound, chain)
    if outbound.is_http:
        route = routes.outbound(snapshot, outbound)
        if route is not None:
            _add(found.routes, route)
    if outbound.listens:
        hatch = hatches.listener(outbound, chain)
        _add(found.listeners, hatch or listeners.upstream(snapshot, outbound, chain))


def resolvers(found: Resources, snapshot: ProxySnapshot, outbound: Outbound, chain: Chain) -> None:
    """The clusters and instances that a chain leads to."""
    for node in chain.nodes.values():
        if isinstance(node, ResolverNode):
            _resolver(found, snapshot, outbound, chain, node)


def _resolver(found: Resources, snapshot: ProxySnapshot, outbound: Outbound, chain: Chain, node: ResolverNode) -> None:
    hatch = hatches.cluster(snapshot, outbound, chain, node)
    if hatch is not None:
        _add(found.clusters, hatch)
        if hatch.get("type") == "EDS":
            name = hatch.get("eds_cluster_config", {}).get("service_name") or hatch["name"]
            _assign(found, snapshot, name, snapshot.held(chain, node.target))
        return
    made, instances = clusters.resolved(snapshot, outbound, chain, node)
    for name, cluster in made.items():
        found.clusters.setdefault(name, cluster)
    for name, held in instances.items():
        _assign(found, snapshot, name, held)


def _assign(found: Resources, snapshot: ProxySnapshot, name: str, held: Cluster) -> None:
    if name not in found.endpoints:
        found.endpoints[name] = endpoints.assignment(name, held, snapshot.region, snapshot.zone)


def _add(to: dict[str, Resource], resource: Resource) -> None:
    to[resource["name"]] = resource
