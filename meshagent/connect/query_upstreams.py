"""Prepared queries as upstreams: the chain of one, and whose certificates count behind it. Pure.

A query has one target; what it finds are its instances, of whatever service they are. No config entry speaks of it.

Source: surface rows M4, M44 (`<name>.default.<dc>.query.<td>`); escape-hatches.json of the golden mesh data (SNI, name
of the cluster, identities of the service that was found). What may change here: nothing that is seen outside.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import MeshGateway, ServiceEntry, TransparentProxy
from meshagent.connect import spiffe
from meshagent.connect.chain import Chain, ResolverNode, Target

__all__ = ["QUERY", "identities_of", "is_query", "query_chain"]

#: The type of such an upstream, and what the id of its target begins with.
QUERY = "prepared_query"


def query_chain(name: str, datacenter: str, protocol: str, trust_domain: str, timeout: str) -> Chain:
    """The chain of a query: one target."""
    called = f"{name}.default.{datacenter}.query.{trust_domain}"
    target = Target(
        id=f"{QUERY}:{name}",
        service=name,
        subset="",
        datacenter=datacenter,
        peer="",
        connect_timeout=timeout,
        mesh_gateway=MeshGateway(),
        instances=Subset(),
        transparent_proxy=TransparentProxy(),
        external=False,
        sni=called,
        name=called,
    )
    start = f"resolver:{target.id}"
    node = ResolverNode(target.id, target.id, timeout, 0, True, None, None)
    return Chain(name, datacenter, protocol, start, {start: node}, {target.id: target}, True, trust_domain=trust_domain)


def is_query(target: Target) -> bool:
    """Whether a target is what a query finds."""
    return target.id.startswith(f"{QUERY}:")


def identities_of(rows: Iterable[ServiceEntry], trust_domain: str, datacenter: str) -> tuple[str, ...]:
    """The SPIFFE ids of the services that were found, in order; a node that says no datacenter is of this one."""
    found = {
        (entry.service.proxy.destination_service_name or entry.service.name, entry.node.datacenter or datacenter)
        for entry in rows
    }
    return tuple(spiffe.format(spiffe.service_id(trust_domain, place, service)) for service, place in sorted(found))
