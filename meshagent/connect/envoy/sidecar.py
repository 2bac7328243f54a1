"""The resources of a sidecar: others call its service, its service calls others.

Source: surface rows X5, X8, X11, X12, X14. What may change here: nothing that is a kind of resource of its own.
"""

from __future__ import annotations

from meshagent.connect.chain import Chain, ResolverNode
from meshagent.connect.envoy import clusters, endpoints, listeners, names, routes
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, Resources
from meshagent.connect.exposing import Exposed
from meshagent.connect.snapshot import Cluster, Inbound, Outbound, ProxySnapshot

__all__ = ["sidecar"]


def sidecar(snapshot: ProxySnapshot) -> Resources:
    """All resources of a `connect-proxy`. Before there is a leaf it has none."""
    found = Resources()
    if not snapshot.leaf_chain or not snapshot.roots:
        return found
    if snapshot.inbound is not None:
        _inbound(found, snapshot, snapshot.inbound)
    for outbound in snapshot.outbound:
        if outbound.chain is not None:
            _outbound(found, snapshot, outbound, outbound.chain)
    return found


def _inbound(found: Resources, snapshot: ProxySnapshot, inbound: Inbound) -> None:
    _add(found.clusters, clusters.local_app(snapshot, inbound))
    _add(found.listeners, listeners.public(snapshot, inbound))
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
    for node in chain.nodes.values():
        if isinstance(node, ResolverNode):
            made, instances = clusters.resolved(snapshot, outbound, chain, node)
            for name, cluster in made.items():
                found.clusters.setdefault(name, cluster)
            for name, held in instances.items():
                _assign(found, snapshot, name, held)
    if outbound.is_http:
        route = routes.outbound(snapshot, outbound)
        if route is not None:
            _add(found.routes, route)
    if outbound.listens:
        _add(found.listeners, listeners.upstream(snapshot, outbound, chain))


def _assign(found: Resources, snapshot: ProxySnapshot, name: str, held: Cluster) -> None:
    if name not in found.endpoints:
        found.endpoints[name] = endpoints.assignment(name, held, snapshot.region, snapshot.zone)


def _add(to: dict[str, Resource], resource: Resource) -> None:
    to[resource["name"]] = resource
