"""What of a proxy's snapshot its token may see.

The snapshot of a service's proxy is for who may write that service; who else is in it is for who may read him: an
upstream that the token may not read has no chain, or is left out where nobody named it, and instances of services or on
nodes that it may not read are not there. So registering a proxy with an upstream shows no more of the catalog than
asking for it.

Source: surface rows L6, L9, L10, M70; developer.hashicorp.com/consul/docs/security/acl (the token of a proxy needs
service:write on its service, service:read and node:read for upstreams, an API gateway mesh:read too). Pure. What may
change here: another part of the snapshot that speaks of others is another line of `seen_by`.
"""

from __future__ import annotations

from collections.abc import Set

import msgspec

from meshagent.agent.acl.access import Access
from meshagent.connect import spiffe
from meshagent.connect.gateways.edge import Edge
from meshagent.connect.gateways.linked import TerminatingGateway
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.query_upstreams import QUERY, is_query
from meshagent.connect.snapshot import Cluster, Gateway, Outbound, ProxySnapshot

__all__ = ["seen_by"]

_HIDDEN = "the token may not read the service (service:read)"


def seen_by(access: Access, snapshot: ProxySnapshot) -> ProxySnapshot:
    """The snapshot itself when nothing in it is hidden from `access`."""
    if access.sees_all:
        return snapshot
    # A proxy in transparent mode, and a gateway that goes by server names, have upstreams that nobody named: that they
    # are there is what may not be seen.
    finds = snapshot.transparent is not None or isinstance(snapshot.gateway, MeshGateway | TerminatingGateway)
    named = [one for one in snapshot.outbound if _was_named(one) or _may_read(access, one.name)]
    outbound = tuple(_outbound(access, one) for one in named)
    clusters = {
        name: _cluster(access, one)
        for name, one in snapshot.clusters.items()
        if not finds or is_query(one.target) or _may_read(access, one.target.service)
    }
    gateway = _gateway(access, snapshot.gateway, {one.key for one in outbound})
    same = gateway is snapshot.gateway
    same = same and len(clusters) == len(snapshot.clusters) and len(outbound) == len(snapshot.outbound)
    same = same and all(new is old for new, old in zip(outbound, snapshot.outbound, strict=True))
    if same and all(clusters[name] is one for name, one in snapshot.clusters.items()):
        return snapshot
    return msgspec.structs.replace(snapshot, outbound=outbound, clusters=clusters, gateway=gateway)


def _was_named(one: Outbound) -> bool:
    return one.listens or (bool(one.at) and not one.at.startswith("sni:"))


def _may_read(access: Access, service: str) -> bool:
    """The ways into another datacenter have no service."""
    return not service or access.allows("service", "read", service)


def _outbound(access: Access, one: Outbound) -> Outbound:
    if one.chain is None or one.destination_type == QUERY:  # whoever knows a query's name may run it
        return one
    # The upstreams of an API gateway are host names, with the services that their routes lead to.
    names = {target.service for target in one.chain.targets.values()} if one.at else {one.name}
    if any(_may_read(access, name) for name in names):
        return one
    return msgspec.structs.replace(one, chain=None, problem=_HIDDEN)


def _gateway(access: Access, gateway: Gateway | None, upstreams: Set[str]) -> Gateway | None:
    """Private keys of certificates are entries of the mesh: who may not read those does without their listeners. The
    leaf of a service is for who may write it: without it a terminating gateway does not speak for it. The server names
    of a mesh gateway lead to what is left of its upstreams."""
    if isinstance(gateway, TerminatingGateway):
        services = tuple(one for one in gateway.services if access.allows("service", "write", one.service))
        if len(services) == len(gateway.services):
            return gateway
        return msgspec.structs.replace(gateway, services=services)
    if isinstance(gateway, MeshGateway):
        routes = {name: key for name, key in gateway.routes.items() if key in upstreams}
        return gateway if len(routes) == len(gateway.routes) else msgspec.structs.replace(gateway, routes=routes)
    if not isinstance(gateway, Edge) or access.allows("mesh", "read"):
        return gateway
    kept = tuple(one for one in gateway.listeners if one.tls is None or not one.tls.certificates)
    if len(kept) == len(gateway.listeners):
        return gateway
    problems = (*gateway.problems, "the token may not read the certificates of listeners (mesh:read)")
    return msgspec.structs.replace(gateway, listeners=kept, problems=problems)


def _cluster(access: Access, cluster: Cluster) -> Cluster:
    readable = _readable(access, cluster)
    kept = tuple(one for one in cluster.endpoints if readable and access.allows("node", "read", one.node))
    others = tuple(one for one in cluster.unhealthy if readable and access.allows("node", "read", one.node))
    hides_query = not readable and is_query(cluster.target) and cluster.identities
    if (len(kept), len(others)) == (len(cluster.endpoints), len(cluster.unhealthy)) and not hides_query:
        return cluster
    identities = () if hides_query else cluster.identities
    return msgspec.structs.replace(cluster, endpoints=kept, unhealthy=others, identities=identities)


def _readable(access: Access, cluster: Cluster) -> bool:
    """Whether its service may be read: of a prepared query all services that it found."""
    names = [cluster.target.service]
    if is_query(cluster.target):
        names = [spiffe.parse(one).name for one in cluster.identities]
    return all(_may_read(access, name) for name in names)
