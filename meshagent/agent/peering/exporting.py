"""What a peer is told: the services it may see with their instances and sidecars, roots, addresses of servers. Pure.

`Exporter.refresh` gives what there is to offer now; what has not changed is the same object as before, and instances
are compared by identity, so that one changed check encodes one service.

Source: surface rows ES1, M30, M44, M61, M68, X37. A service's sidecars travel under `<service>-sidecar-proxy`, or in
their place the mesh gateways of the datacenter, where it has some. What may change here: what is told of a service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.peering.messages import (
    EXPORTED_SERVICE_LIST,
    SERVER_ADDRESSES,
    TRUST_BUNDLE,
    Packed,
    RootsOf,
    encode_names,
    encode_roots,
)
from meshagent.agent.peering.operations import own_addresses
from meshagent.agent.peering.resources import PeerMeta, encode_instances
from meshagent.catalog.exports import exported_to
from meshagent.catalog.mesh_gateways import mesh_gateways
from meshagent.catalog.model import Proxy
from meshagent.connect import spiffe
from meshagent.connect.chain import compile_chain
from meshagent.connect.instances import at_wan
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.catalog.model import ServiceEntry
    from meshagent.catalog.store import Store
    from meshagent.catalog.watch import Topic

__all__ = ["SIDECAR_SUFFIX", "Exporter", "Offer"]

SIDECAR_SUFFIX = "-sidecar-proxy"

#: (kind, id, resource)
Offer = tuple[str, str, Packed]


class Exporter:
    """What one peer is told. `topics` are what the last `refresh` depended on, `names` the services in it."""

    def __init__(self, store: Store, peer: str, datacenter: str) -> None:
        self._store = store
        self._peer = peer
        self._datacenter = datacenter
        self._encoded: dict[str, tuple[list[ServiceEntry], PeerMeta | None, Packed]] = {}
        #: Gateways as sidecars, by service: the same objects while nothing changes.
        self._outside: dict[str, tuple[tuple[tuple[ServiceEntry, ...], bool], list[ServiceEntry]]] = {}
        self.topics: tuple[Topic, ...] = ()
        self.names: list[str] = []

    def refresh(self) -> Iterator[Offer]:
        """Everything to offer now: the list first, so that a peer knows a service before its instances."""
        store = self._store
        found = exported_to(store, self._peer)
        self.names = found.rows
        entries = store.config.watched()
        topics: list[Topic] = [*found.topics, "ca-roots", ("service", "consul")]
        gateways, of_gateways = mesh_gateways(store, self._datacenter, self._datacenter)
        topics += of_gateways
        for name in found.rows:
            topics += [("service-health", name.lower()), ("connect", name.lower())]
        roots = tuple(root.root_cert for root in store.ca.roots.values())
        if roots:
            yield TRUST_BUNDLE, "roots", encode_roots(RootsOf(store.ca.trust_domain, roots, "default"))
        yield SERVER_ADDRESSES, "server-addrs", encode_names(SERVER_ADDRESSES, own_addresses(store))
        yield EXPORTED_SERVICE_LIST, "exported-service-list", encode_names(EXPORTED_SERVICE_LIST, tuple(found.rows))
        there: set[str] = set()
        for name in found.rows:
            there |= {name, name + SIDECAR_SUFFIX}
            plain = [entry for entry in store.registrations.entries(name) if entry.service.kind in {"", "typical"}]
            yield self._instances(name, plain, None)
            yield self._instances(name + SIDECAR_SUFFIX, self._ways_to(name, gateways), self._meta(name))
        for name in [name for name in self._encoded if name not in there]:
            yield self._instances(name, [], None)
        self.topics = tuple(dict.fromkeys((*topics, *entries.topics)))

    def _ways_to(self, name: str, gateways: tuple[ServiceEntry, ...]) -> list[ServiceEntry]:
        """What gives mesh access to a service: its sidecars, or the mesh gateways in their place, as sidecars at their
        WAN addresses, while one of its own is good."""
        sidecars = self._store.registrations.entries(name, connect=True)
        if not gateways or not sidecars:
            self._outside.pop(name, None)
            return sidecars
        good = any(all(check.status != "critical" for check in entry.checks) for entry in sidecars)
        key = (gateways, good)
        held = self._outside.get(name)
        if held is None or held[0] != key:
            rows = [_as_sidecar(name, gateway) for gateway in gateways] if good else []
            held = self._outside[name] = (key, rows)
        return held[1]

    def _instances(self, name: str, entries: list[ServiceEntry], meta: PeerMeta | None) -> Offer:
        held = self._encoded.get(name)
        if held is None or held[1] != meta or not _same(held[0], entries):
            held = self._encoded[name] = (entries, meta, encode_instances(name, entries, meta))
        return held[2].kind, name, held[2]

    def _meta(self, name: str) -> PeerMeta:
        trust_domain = self._store.ca.trust_domain
        try:
            chain = compile_chain(self._store.config.watched(), name, self._datacenter, trust_domain)
            protocol = chain.protocol
        except MeshError:
            protocol = "tcp"
        return PeerMeta(
            sni=(f"{name}.default.default.{self._peer}.external.{trust_domain}",),
            spiffe_id=(spiffe.format(spiffe.service_id(trust_domain, self._datacenter, name)),),
            protocol=protocol,
        )


def _as_sidecar(name: str, gateway: ServiceEntry) -> ServiceEntry:
    """A mesh gateway as what stands before a service, for who is outside."""
    row = at_wan(gateway)
    service = msgspec.structs.replace(
        row.service,
        kind="connect-proxy",
        name=name + SIDECAR_SUFFIX,
        tagged_addresses=None,
        proxy=Proxy(destination_service_name=name),
    )
    return msgspec.structs.replace(row, service=service)


def _same(before: list[ServiceEntry], after: list[ServiceEntry]) -> bool:
    return len(before) == len(after) and all(one is other for one, other in zip(before, after, strict=True))
