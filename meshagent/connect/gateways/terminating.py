"""A terminating gateway: the services outside the mesh that it speaks for, each with its own leaf. Pure.

A caller names the service (and subset) by the server name; the gateway shows that service's leaf, lets its intentions
decide, and goes on to an instance as the catalog has it: plain, or with the TLS that the entry asks for.

Source: surface rows M28, M72, X17; terminating.json of the golden mesh data;
developer.hashicorp.com/consul/docs/connect/gateways/terminating-gateway. What may change here: fields are added with a
default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshagent.catalog.entries.graph import protocol_of
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_resolver import ServiceResolver
from meshagent.catalog.gateway_services import GatewayService
from meshagent.catalog.model import Service
from meshagent.connect.chain import Target
from meshagent.connect.gateways.addresses import binds_of
from meshagent.connect.gateways.filling import Filling
from meshagent.connect.gateways.linked import LinkedService, TerminatingGateway
from meshagent.connect.gateways.mesh import outbound_at, subset_targets, timeout_of
from meshagent.connect.instances import sorted_out
from meshagent.connect.intentions import Default, providers_of
from meshagent.connect.snapshot import Cluster, Endpoint, Outbound

if TYPE_CHECKING:
    from meshagent.catalog.watch import Topic
    from meshagent.connect.parts import SnapshotParts

__all__ = ["fill", "services_behind"]


def services_behind(parts: SnapshotParts, gateway: str) -> tuple[str, ...]:
    """Names of the services that a gateway speaks for."""
    return tuple(row.service.name for row in _linked(parts, gateway))


def _linked(parts: SnapshotParts, gateway: str) -> tuple[GatewayService, ...]:
    """What the entry links to a gateway, wildcards spread out."""

    def make() -> tuple[tuple[GatewayService, ...], Iterable[Topic]]:
        rows, topics = parts.told.behind(gateway)
        return tuple(rows), topics

    return parts.part(("behind", gateway), make)


def fill(parts: SnapshotParts, service: Service, _: Default) -> Filling:
    """What the entry of the gateway's name links to it."""
    timeout = timeout_of(service)
    linked: list[LinkedService] = []
    outbound: list[Outbound] = []
    clusters: list[Cluster] = []
    providers: dict[str, None] = {}
    for row in _linked(parts, service.name):
        name = row.service.name
        protocol = parts.part(("protocol", name), lambda name=name: _protocol(parts, name))  # type: ignore[misc]
        resolver = parts.entry(ServiceResolver, name)
        upstreams = {}
        for target in subset_targets(parts, name, timeout):
            one = outbound_at(target, protocol, resolver)
            outbound.append(one)
            clusters.append(_cluster_of(parts, row, target))
            upstreams[target.sni] = one.key
        intentions = parts.intentions_of(name)
        providers |= dict.fromkeys(providers_of(intentions))
        chain, key, *valid = parts.leaf_of(name)
        linked.append(
            LinkedService(
                service=name,
                protocol=protocol,
                intentions=intentions,
                upstreams=upstreams,
                leaf_chain=chain,
                leaf_key=key,
                leaf_valid=(valid[0], valid[1]),
                ca_file=row.ca_file,
                cert_file=row.cert_file,
                key_file=row.key_file,
                sni=row.sni,
                rewrite_host=row.auto_host_rewrite,
            )
        )
    return Filling(
        outbound=tuple(outbound),
        clusters=clusters,
        gateway=TerminatingGateway(binds_of(service), tuple(linked)),
        providers=tuple(providers),
    )


def _protocol(parts: SnapshotParts, name: str) -> tuple[str, Iterable[Topic]]:
    entries = parts.watched()
    return protocol_of(entries, name), entries.topics


def _cluster_of(parts: SnapshotParts, row: GatewayService, target: Target) -> Cluster:
    """The instances outside: of the catalog, or those that service-defaults name."""
    name = row.service.name
    if row.service_kind == "destination":
        defaults = parts.entry(ServiceDefaults, name)
        there = defaults.destination if defaults is not None else None
        found = there.addresses if there is not None else ()
        port = there.port if there is not None else 0
        return Cluster(target, (), tuple(Endpoint(address, "", address, port) for address in found))

    def make() -> tuple[Cluster, Iterable[Topic]]:
        rows, topics = parts.told.plain(name)
        return Cluster(target, (), *sorted_out([one for one in rows if not one.service.kind], target)), topics

    return parts.cluster(target, make)
