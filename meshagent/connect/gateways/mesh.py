"""A mesh gateway: which services of this datacenter it leads to, and which ways into others it knows. Pure.

It looks at the server name of a TLS connection and never inside: each local service (subset) has an upstream under its
own name, another datacenter one under `<datacenter>.internal.<trust domain>`, for every name that ends so.

Source: surface rows M9, M44, M72, X18; mesh-gateway.json of the golden mesh data;
developer.hashicorp.com/consul/docs/connect/gateways/mesh-gateway. What may change here: fields are added with a
default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.entries.exported_services import ExportedServices
from meshagent.catalog.entries.service_resolver import ServiceResolver, Subset
from meshagent.catalog.federation import OTHERS
from meshagent.catalog.mesh_services import TOPIC
from meshagent.catalog.model import MeshGateway as Mode
from meshagent.catalog.model import Service, ServiceEntry, TransparentProxy
from meshagent.connect.chain import DEFAULT_CONNECT_TIMEOUT, Chain, ResolverNode, Target, sni, target_id
from meshagent.connect.gateways.addresses import binds_of
from meshagent.connect.gateways.filling import Filling
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.instances import through_gateways
from meshagent.connect.intentions import Default
from meshagent.connect.peers import peer_sni
from meshagent.connect.snapshot import Cluster, Outbound
from meshagent.durations import parse_duration

if TYPE_CHECKING:
    from meshagent.catalog.watch import Topic
    from meshagent.connect.parts import SnapshotParts

__all__ = ["fill", "gateway_sni", "outbound_at", "subset_targets", "timeout_of"]


def fill(parts: SnapshotParts, service: Service, _: Default) -> Filling:
    """What a gateway of this datacenter leads to."""
    timeout = timeout_of(service)
    outbound: list[Outbound] = []
    targets: list[Target] = []
    for name in parts.part(("mesh-local",), lambda: _present(parts)):
        for target in subset_targets(parts, name, timeout):
            outbound.append(outbound_at(target))
            targets.append(target)
    routes = {one.sni: key for one, key in zip(targets, (row.key for row in outbound), strict=True)}
    routes |= _from_peers(parts, {one.service: routes[one.sni] for one in targets if not one.subset})
    suffixes: dict[str, str] = {}
    clusters = []
    for cluster in parts.part(("mesh-remote",), lambda: _others(parts)):
        target = msgspec.structs.replace(cluster.target, connect_timeout=timeout)
        one = outbound_at(target)
        outbound.append(one)
        clusters.append(msgspec.structs.replace(cluster, target=target))
        suffixes["." + target.sni] = one.key
    return Filling(
        outbound=tuple(outbound),
        targets=targets,
        clusters=clusters,
        gateway=MeshGateway(binds_of(service), routes, suffixes),
    )


def _from_peers(parts: SnapshotParts, here: dict[str, str]) -> dict[str, str]:
    """How services that are exported are called by the callers of each peer, who name their trust domain."""
    exported = parts.entry(ExportedServices, "default")
    told = exported.to_peers() if exported is not None else {}
    found: dict[str, str] = {}
    for name, key in here.items():
        for peer in {*told.get(name, ()), *told.get("*", ())}:
            bundle = parts.part(("bundle", peer), lambda peer=peer: (parts.bundle(peer), ("peering-bundles",)))  # type: ignore[misc]
            if bundle is not None:
                found[peer_sni(name, bundle.trust_domain)] = key
    return dict(sorted(found.items()))


def _present(parts: SnapshotParts) -> tuple[tuple[str, ...], Iterable[Topic]]:
    """Names of the services that somebody gives mesh access to."""
    topics: dict[Topic, None] = {TOPIC: None}
    found = []
    for one in parts.services():
        rows, of_rows = parts.instances(one.name)
        topics |= dict.fromkeys(of_rows)
        if any(True for _ in rows):
            found.append(one.name)
    return tuple(found), topics


def _others(parts: SnapshotParts) -> tuple[tuple[Cluster, ...], Iterable[Topic]]:
    """The gateways of the other datacenters, each as the instances of one target."""
    rows, topics = parts.told.gateways(OTHERS)
    by_name: dict[str, list[ServiceEntry]] = {}
    for row in rows:
        by_name.setdefault(row.node.datacenter, []).append(row)
    found = []
    for name in sorted(by_name):
        target = _target(name, gateway_sni(name, parts.trust_domain), name, "", Subset())
        found.append(Cluster(target, (), *through_gateways(by_name[name], target, remote=True)))
    return tuple(found), (*topics, "ca-roots")


def subset_targets(parts: SnapshotParts, name: str, timeout: str) -> tuple[Target, ...]:
    """A service as it is called from elsewhere: by its name alone, and by each of its subsets."""
    resolver = parts.entry(ServiceResolver, name)
    domain = parts.part(("trust-domain",), lambda: (parts.trust_domain, ("ca-roots",)))
    subsets = dict(resolver.subsets or {}) if resolver is not None else {}
    plain = subsets.get(resolver.default_subset, Subset()) if resolver is not None else Subset()
    return tuple(
        _target(
            target_id(name, subset, parts.datacenter),
            sni(name, subset, parts.datacenter, domain),
            parts.datacenter,
            timeout,
            wanted,
            name,
            subset,
        )
        for subset, wanted in {"": plain, **{key: subsets[key] for key in sorted(subsets)}}.items()
    )


def outbound_at(target: Target, protocol: str = "tcp", resolver: ServiceResolver | None = None) -> Outbound:
    """An upstream with no listener of its own: what is for `target` is handed over under its server name. It balances
    and waits as the resolver says."""
    key = f"resolver:{target.id}"
    waits = resolver.request_timeout if resolver is not None else ""
    node = ResolverNode(
        name=target.id,
        target=target.id,
        connect_timeout=target.connect_timeout,
        request_timeout_ns=parse_duration(waits) if waits else 0,
        default=True,
        failover=None,
        load_balancer=resolver.load_balancer if resolver is not None else None,
    )
    chain = Chain(target.service, target.datacenter, protocol, key, {key: node}, {target.id: target}, True)
    return Outbound(name=target.service, address="", port=0, chain=chain, at=f"sni:{target.sni}")


def gateway_sni(datacenter: str, trust_domain: str) -> str:
    """The name of the ways into a datacenter (surface row M44)."""
    return f"{datacenter}.internal.{trust_domain}"


def timeout_of(service: Service) -> str:
    """How long a gateway tries to reach an instance (surface row M72)."""
    given = (service.proxy.config or {}).get("connect_timeout_ms")
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 2**31:
        return DEFAULT_CONNECT_TIMEOUT
    return f"{int(given)}ms"


def _target(
    id_: str, name: str, datacenter: str, timeout: str, wanted: Subset, service: str = "", subset: str = ""
) -> Target:
    return Target(
        id_, service, subset, datacenter, "", timeout or DEFAULT_CONNECT_TIMEOUT, Mode(), wanted, TransparentProxy(),
        False, name, name,
    )  # fmt: skip
