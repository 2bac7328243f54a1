"""Putting a `ProxySnapshot` together from the store, anew only where something changed.

A part (the intentions, one chain, the instances of one target) is a value with the topics it came from. When one of
those topics fires, that part is dropped and whoever watches is told; `build` makes the missing parts and joins them. No
I/O: subscriptions are call-backs of the store.

Source: design.md; surface rows M4, M25, M40-M44, M50. What may change here: further parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from meshagent.catalog import queries
from meshagent.catalog.config_entries import WatchedEntries
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.exported_services import ExportedServices
from meshagent.catalog.entries.extensions.names import of_a_service
from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.mesh import Mesh
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults
from meshagent.catalog.entries.rate_limits import limits_of
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES
from meshagent.catalog.mesh_services import MeshService, mesh_services
from meshagent.catalog.model import EnvoyExtension, ExposePath, Locality, MeshGateway, Service, ServiceEntry, Upstream
from meshagent.catalog.peering.imported import split_peer
from meshagent.catalog.peering.model import TrustBundle
from meshagent.catalog.query_execution import connect_rows
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Subscription, Topic
from meshagent.connect.central import merged_upstream
from meshagent.connect.chain import DEFAULT_CONNECT_TIMEOUT, Chain, Overrides, Target, compile_chain
from meshagent.connect.collecting import collector_of
from meshagent.connect.exposing import exposed_of
from meshagent.connect.gateways.filling import Filling
from meshagent.connect.intentions import Default, Intention, matching, providers_of
from meshagent.connect.kinds import KINDS, identity_of
from meshagent.connect.mesh_settings import MeshSettings, mesh_settings
from meshagent.connect.observing import observing_of
from meshagent.connect.outside import marked, missing, outside
from meshagent.connect.peers import Trust, peer_chain
from meshagent.connect.query_upstreams import QUERY, query_chain
from meshagent.connect.snapshot import (
    Cluster,
    Outbound,
    ProxySnapshot,
    bind_address_of,
    inbound_of,
    outbound_of,
)
from meshagent.connect.target_instances import cluster_of
from meshagent.connect.told import FromStore, Told
from meshagent.connect.transparent import MODE, Transparent, addresses_of, reachable, transparent_of
from meshagent.errors import MeshError

__all__ = ["Instances", "Leaf", "Services", "SnapshotParts"]

T = TypeVar("T")
E = TypeVar("E", bound=Entry)
#: Certificate chain and private key (PEM), when it began and ends (ISO 8601); "" without one.
Leaf = tuple[str, str, str, str]
#: That of a service by its name.
LeafOf = Callable[[str], Leaf]
#: The instances that give mesh access to a service, with the topics of their change.
Instances = Callable[[str], tuple[Iterable[ServiceEntry], tuple[Topic, ...]]]
#: The services with virtual addresses; `MESH_SERVICES` fires when they change.
Services = Callable[[], Iterable[MeshService]]
#: An upstream with its virtual addresses.
_Wanted = tuple[Upstream, tuple[str, ...]]


@dataclass(slots=True)
class _Part:
    value: Any
    subscription: Subscription


class SnapshotParts:
    """The parts of one proxy's snapshot. `on_change` is called (once or more) when `build` would give another value."""

    def __init__(
        self,
        store: Store,
        datacenter: str,
        on_change: Callable[[], None],
        instances: Instances | None = None,
        services: Services | None = None,
        queried: Instances | None = None,
        told: Told | None = None,
    ) -> None:
        """`instances` gives those of a service in place of the store's, `services` the services of the mesh, `queried`
        what a prepared query finds, `told` what else is asked of the catalog."""
        self._store = store
        self.told: Told = told or FromStore(store, datacenter)
        #: The leafs of services that a gateway speaks for.
        self.leaf_of: LeafOf = _no_leaf
        self.services = services or (lambda: mesh_services(store))
        self.instances = instances or self._stored
        self.queried = queried or (lambda name: connect_rows(store, name, "", datacenter))
        self.datacenter = datacenter
        self._on_change = on_change
        self._parts: dict[tuple[str, ...], _Part] = {}
        self._used: set[tuple[str, ...]] = set()
        #: How many parts were made, for tests and figures.
        self.made = 0

    def build(
        self,
        service: Service,
        default: Default,
        leaf: Leaf = ("", "", "", ""),
        here: Locality | None = None,
        checks: Iterable[ExposePath] = (),
        host_address: str = "",
        leaf_of: LeafOf | None = None,
    ) -> ProxySnapshot:
        """The snapshot of a registered proxy. `leaf` is (chain, private key, begin, end); `here` where the agent is,
        `checks` which ones of its checks go through the proxy, `host_address` where those come from; `leaf_of` gives
        the leafs of other services that it speaks for."""
        self._used = set()
        self.leaf_of = leaf_of or _no_leaf
        name = identity_of(service)
        filled = KINDS[service.kind].fill(self, service, default)
        targets = list(filled.targets)
        clusters = {target.id: cluster_of(self, target) for target in targets}
        clusters |= {cluster.target.id: cluster for cluster in filled.clusters}
        intentions = self.intentions_of(name)
        providers = tuple(dict.fromkeys((*providers_of(intentions), *filled.providers)))
        place = service.locality or here or Locality()
        roots = self.part(("roots",), self._roots)
        snapshot = ProxySnapshot(
            proxy_id=service.id,
            service=name,
            datacenter=self.datacenter,
            trust_domain=self._store.ca.trust_domain,
            default_allow=default.allow,
            default_reason=default.reason,
            intentions=intentions,
            roots=roots,
            leaf_chain=leaf[0],
            leaf_key=leaf[1],
            inbound=filled.inbound,
            outbound=filled.outbound,
            clusters=clusters,
            region=place.region,
            zone=place.zone,
            jwt_providers=self.part(("jwt-providers", *providers), lambda: self._providers(providers)),
            leaf_valid=leaf[2:],
            observing=observing_of(service.proxy.config or {}, service.proxy.access_logs),
            rate_limits=limits_of(service.proxy.config or {}),
            exposed=exposed_of(service, bind_address_of(service), checks, host_address),
            mesh=self.part(("settings", name), lambda: self._settings(name)),
            transparent=filled.transparent,
            gateway=filled.gateway,
            trusts=self._trusts(name, {target.peer for target in targets if target.peer}),
            kind=service.kind,
            config=service.proxy.config or {},
            extensions=service.proxy.envoy_extensions or (),
            service_extensions=self._service_extensions(filled.outbound),
        )
        for key in self._parts.keys() - self._used:
            self._parts.pop(key).subscription.cancel()
        return snapshot

    def close(self) -> None:
        """Stop watching."""
        for part in self._parts.values():
            part.subscription.cancel()
        self._parts.clear()

    # --- what the kinds ask ------------------------------------------------------------------------------------

    def sidecar(self, service: Service, default: Default) -> Filling:
        """What a sidecar has."""
        transparent, name, proxy = self._transparent(service), identity_of(service), service.proxy
        upstreams = (*(proxy.upstreams or ()), *collector_of(service))
        wanted: list[_Wanted] = [(_by_way_of(one, proxy.mesh_gateway), ()) for one in upstreams]
        found = outside(self, name, default) if transparent is not None else {}
        if transparent is not None:
            wanted = self._with_virtual(name, default, wanted)
            wanted += [(self._implicit(name, other), ()) for other in missing(found, (one for one, _ in wanted))]
        outbound, targets = self._outbound(wanted)
        return Filling(marked(outbound, found), targets, inbound=inbound_of(service), transparent=transparent)

    @property
    def trust_domain(self) -> str:
        """Of the mesh; whoever keeps it watches `ca-roots`."""
        return self._store.ca.trust_domain

    def bundle(self, peer: str) -> TrustBundle | None:
        """What a peer trusts; whoever keeps it watches `peering-bundles`."""
        return self._store.peerings.bundles.get(peer)

    def watched(self) -> WatchedEntries:
        """The config entries, which note what they were asked."""
        return self._store.config.watched()

    def entry(self, type_: type[E], name: str) -> E | None:
        """One config entry."""

        def make() -> tuple[E | None, Iterable[Topic]]:
            entries = self.watched()
            return entries.get(type_, name), entries.topics

        return self.part(("entry", str(type_.__struct_config__.tag), name), make)

    def intentions_of(self, name: str) -> tuple[Intention, ...]:
        """Who may talk to a service."""
        return self.part(("intentions", name), lambda: self._intentions(name))

    def cluster(self, target: Target, make: Callable[[], tuple[Cluster, Iterable[Topic]]]) -> Cluster:
        """The instances of a target, made anew when the target is another."""
        key = ("cluster", target.id)
        held = self._parts.get(key)
        if held is not None and held.value.target != target:  # the entries behind it say something else now
            self._parts.pop(key).subscription.cancel()
        return self.part(key, make)

    def part(self, key: tuple[str, ...], make: Callable[[], tuple[T, Iterable[Topic]]]) -> T:
        self._used.add(key)
        held = self._parts.get(key)
        if held is None:
            value, topics = make()
            self.made += 1
            subscription = self._store.watches.subscribe(topics, lambda: self._drop(key))
            held = self._parts[key] = _Part(value, subscription)
        found: T = held.value
        return found

    # --- parts -------------------------------------------------------------------------------------------------

    def _drop(self, key: tuple[str, ...]) -> None:
        self._parts.pop(key, None)
        self._on_change()

    def _roots(self) -> tuple[tuple[str, ...], Iterable[Topic]]:
        table = self._store.ca
        return tuple(table.roots[at].root_cert for at in sorted(table.roots)), ("ca-roots",)

    def _intentions(self, name: str) -> tuple[tuple[Intention, ...], Iterable[Topic]]:
        entries = self._store.config.watched()
        found = matching(lambda wanted: entries.get(ServiceIntentions, wanted), name)
        return tuple(found), entries.topics

    def _providers(self, names: Iterable[str]) -> tuple[tuple[JWTProvider, ...], Iterable[Topic]]:
        entries = self._store.config.watched()
        found = [entries.get(JWTProvider, name) for name in names]
        return tuple(one for one in found if one is not None), entries.topics

    def _service_extensions(self, outbound: Iterable[Outbound]) -> dict[str, tuple[EnvoyExtension, ...]]:
        """What `service-defaults` of upstreams ask of those who call them."""
        names = dict.fromkeys(one.name for one in outbound if one.chain is not None and not one.peer)
        held = ((name, self.entry(ServiceDefaults, name)) for name in names)
        found = {name: of_a_service(own.envoy_extensions) for name, own in held if own is not None}
        return {name: asked for name, asked in found.items() if asked}

    def _trusts(self, name: str, dialled: set[str]) -> tuple[Trust, ...]:
        """The peers that `name` is exported to, and those whose services it calls."""
        found = self.part(("trusts", name), lambda: self._bundles(name))
        return tuple(one for one in found if one.incoming or one.peer in dialled)

    def _bundles(self, name: str) -> tuple[tuple[Trust, ...], Iterable[Topic]]:
        entry = self._store.config.get("exported-services", "default")
        told = entry.to_peers() if isinstance(entry, ExportedServices) else {}
        peers = {*told.get(name, ()), *told.get("*", ())}
        bundles = self._store.peerings.bundles
        rows = [bundles[peer] for peer in sorted(bundles)]
        return tuple(Trust(row.peer, row.trust_domain, row.roots, row.peer in peers) for row in rows), (
            "peering-bundles",
            ("config-kind", "exported-services"),
        )

    def _settings(self, name: str) -> tuple[MeshSettings, Iterable[Topic]]:
        entries = self._store.config.watched()
        mesh = entries.get(Mesh, "mesh")
        everyone, own = entries.get(ProxyDefaults, "global"), entries.get(ServiceDefaults, name)
        return mesh_settings(mesh, everyone, own), entries.topics

    def _outbound(self, upstreams: Iterable[_Wanted]) -> tuple[tuple[Outbound, ...], list[Target]]:
        found: list[Outbound] = []
        targets: dict[str, Target] = {}
        for upstream, virtual_ips in upstreams:
            chain, problem = self.chain_of(upstream)
            found.append(outbound_of(upstream, chain, problem, virtual_ips))
            if chain is not None:
                targets.update(chain.targets)
        return tuple(found), [targets[at] for at in sorted(targets)]

    # --- transparent mode --------------------------------------------------------------------------------------

    def _transparent(self, service: Service) -> Transparent | None:
        if service.proxy.mode != MODE:
            return None
        return transparent_of(service, self.entry(Mesh, "mesh"))

    def _with_virtual(self, source: str, default: Default, upstreams: list[_Wanted]) -> list[_Wanted]:
        """Upstreams with their virtual addresses, and all other services that `source` may talk to."""
        key = ("reachable", source, str(default.allow))
        services = self.part(key, lambda: self._reachable(source, default))
        addresses = {one.name.lower(): self._addresses(one) for one in services}
        found: list[_Wanted] = []
        for upstream, _ in upstreams:
            here = upstream.datacenter in {"", self.datacenter} and not upstream.destination_peer
            plain = here and upstream.destination_type == "service"
            found.append((upstream, addresses.pop(upstream.destination_name.lower(), ()) if plain else ()))
        left = [one.name for one in services if one.name.lower() in addresses]
        return found + [(self._implicit(source, name), addresses[name.lower()]) for name in left]

    def _reachable(self, source: str, default: Default) -> tuple[tuple[MeshService, ...], Iterable[Topic]]:
        entries = self._store.config.lookup()
        found = reachable(self.services(), lambda name: entries.get(ServiceIntentions, name), source, default)
        return found, (MESH_SERVICES, ("config-kind", "service-intentions"))

    def _addresses(self, service: MeshService) -> tuple[str, ...]:
        def make() -> tuple[tuple[str, ...], Iterable[Topic]]:
            rows, topics = self.instances(service.name)
            return addresses_of(service, rows), topics

        return self.part(("virtual", service.name, *service.addresses), make)

    def _implicit(self, source: str, name: str) -> Upstream:
        """An upstream that no registration lists."""

        def make() -> tuple[Upstream, Iterable[Topic]]:
            entries = self._store.config.watched()
            own = entries.get(ServiceDefaults, source)
            return merged_upstream(Upstream(destination_name=name), own, entries), entries.topics

        return self.part(("implicit", source, name), make)

    # --- chains and instances ----------------------------------------------------------------------------------

    def chain_of(self, upstream: Upstream) -> tuple[Chain | None, str]:
        name = upstream.destination_name
        if upstream.destination_type == QUERY:
            return self._query_chain(upstream), ""
        if upstream.destination_type != "service":
            return None, f"there are no upstreams of type {upstream.destination_type}"
        if upstream.destination_peer:
            return self._peer_chain(upstream), ""
        datacenter = upstream.datacenter or self.datacenter
        protocol = str((upstream.config or {}).get("protocol") or "")
        gateway = upstream.mesh_gateway.mode
        timeout = _timeout_of(upstream)
        key = ("chain", name, datacenter, protocol, timeout, gateway)
        return self.part(key, lambda: self._compiled(name, datacenter, Overrides(protocol, timeout, gateway)))

    def _query_chain(self, upstream: Upstream) -> Chain:
        protocol = str((upstream.config or {}).get("protocol") or "tcp").lower()
        timeout = _timeout_of(upstream) or DEFAULT_CONNECT_TIMEOUT
        domain = self.part(("trust-domain",), lambda: (self._store.ca.trust_domain, ("ca-roots",)))
        return query_chain(upstream.destination_name, upstream.datacenter or self.datacenter, protocol, domain, timeout)

    def _peer_chain(self, upstream: Upstream) -> Chain:
        protocol = str((upstream.config or {}).get("protocol") or "tcp").lower()
        timeout = _timeout_of(upstream) or DEFAULT_CONNECT_TIMEOUT
        domain = self.part(("trust-domain",), lambda: (self._store.ca.trust_domain, ("ca-roots",)))
        name, peer = upstream.destination_name, upstream.destination_peer.lower()
        return peer_chain(name, peer, self.datacenter, protocol, domain, timeout)

    def _compiled(
        self, name: str, datacenter: str, overrides: Overrides
    ) -> tuple[tuple[Chain | None, str], Iterable[Topic]]:
        entries = self._store.config.watched()
        trust_domain = self._store.ca.trust_domain
        try:
            chain = compile_chain(entries, name, datacenter, trust_domain, overrides)
        except MeshError as error:
            return (None, str(error)), (*entries.topics, "ca-roots")
        return (chain, ""), (*entries.topics, "ca-roots")

    def _stored(self, service: str) -> tuple[Iterable[ServiceEntry], tuple[Topic, ...]]:
        name, peer = split_peer(service)
        result = queries.health_service(self._store, name, connect=True, peer=peer)
        return result.rows, result.topics


def _by_way_of(upstream: Upstream, gateway: MeshGateway) -> Upstream:
    """An upstream that goes the way its proxy goes where it does not say one itself (surface row M9)."""
    if upstream.mesh_gateway.mode or not gateway.mode:
        return upstream
    return msgspec.structs.replace(upstream, mesh_gateway=gateway)


def _no_leaf(_: str) -> Leaf:
    return "", "", "", ""


def _timeout_of(upstream: Upstream) -> str:
    """The time to connect that a registration asks for, as entries write it; "" for none."""
    milliseconds = (upstream.config or {}).get("connect_timeout_ms")
    whole = isinstance(milliseconds, int) and not isinstance(milliseconds, bool) and 0 < milliseconds < 2**31
    return f"{milliseconds}ms" if whole else ""
