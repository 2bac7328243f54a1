"""What a peer is told: the services it may see with their instances and sidecars, roots, addresses of servers. Pure.

`Exporter.refresh` gives what there is to offer now; what has not changed is the same object as before, and instances
are compared by identity, so that one changed check encodes one service.

Source: surface rows ES1, M30, M44, M61, M68, X37. A service's sidecars travel under `<service>-sidecar-proxy`. What may
change here: what is told of a service (mesh gateways in place of sidecars).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
from meshagent.connect import spiffe
from meshagent.connect.chain import compile_chain
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
        self.topics: tuple[Topic, ...] = ()
        self.names: list[str] = []

    def refresh(self) -> Iterator[Offer]:
        """Everything to offer now: the list first, so that a peer knows a service before its instances."""
        store = self._store
        found = exported_to(store, self._peer)
        self.names = found.rows
        entries = store.config.watched()
        topics: list[Topic] = [*found.topics, "ca-roots", ("service", "consul")]
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
            sidecars = store.registrations.entries(name, connect=True)
            yield self._instances(name + SIDECAR_SUFFIX, sidecars, self._meta(name))
        for name in [name for name in self._encoded if name not in there]:
            yield self._instances(name, [], None)
        self.topics = tuple(dict.fromkeys((*topics, *entries.topics)))

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


def _same(before: list[ServiceEntry], after: list[ServiceEntry]) -> bool:
    return len(before) == len(after) and all(one is other for one, other in zip(before, after, strict=True))
