"""Services of peers in the mesh: the chain of one, how it is called in TLS, whose certificates count. Pure.

A peer has an authority of its own, so its certificates are verified by its roots and by nothing else: a caller names
its own trust domain in the SNI, and the callee verifies it with the roots of just that peer. A certificate that speaks
for another trust domain than the one whose roots verified it counts for nothing.

Source: surface rows M40, M54, M61, M68; the SPIFFE standard, "Trust Domain and Bundle", section 4 (a bundle vouches for
its own trust domain only). The SNI is ours: Consul's peers meet at mesh gateways, which are not built. What may change
here: the SNI, when gateways are.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import MeshGateway, ServiceEntry, TransparentProxy
from meshagent.connect import spiffe
from meshagent.connect.chain import Chain, ResolverNode, Target, target_id

__all__ = ["Trust", "identities_of", "peer_chain", "peer_sni", "trust_domain_of"]

_MARK = ".external."


class Trust(msgspec.Struct, frozen=True):
    """The roots of a peer. `incoming`: its services may call this one, as far as intentions go."""

    peer: str
    trust_domain: str
    roots: tuple[str, ...]
    incoming: bool = False


def peer_sni(service: str, own_trust_domain: str) -> str:
    """How a service of a peer is called by a caller of `own_trust_domain`."""
    return f"{service}{_MARK}{own_trust_domain}"


def trust_domain_of(server_name: str) -> str:
    """The trust domain of a caller that uses this name; "" where it is called as one of its own."""
    _, mark, domain = server_name.lower().rpartition(_MARK)
    return domain if mark else ""


def peer_chain(service: str, peer: str, datacenter: str, protocol: str, own_trust_domain: str, timeout: str) -> Chain:
    """The chain of a peer's service: one target. The peer's own entries decide behind it."""
    id_ = target_id(service, "", "", peer)
    target = Target(
        id=id_,
        service=service,
        subset="",
        datacenter="",
        peer=peer,
        connect_timeout=timeout,
        mesh_gateway=MeshGateway(),
        instances=Subset(),
        transparent_proxy=TransparentProxy(),
        external=False,
        sni=peer_sni(service, own_trust_domain),
        name=service,
    )
    start = f"resolver:{id_}"
    node = ResolverNode(id_, id_, timeout, 0, True, None, None)
    return Chain(
        service, datacenter, protocol, start, {start: node}, {id_: target}, True, trust_domain=own_trust_domain
    )


def identities_of(service: str, trust_domain: str, rows: Iterable[ServiceEntry]) -> tuple[str, ...]:
    """The SPIFFE ids of a peer's service, in the datacenters where it runs."""
    places = sorted({entry.node.datacenter for entry in rows})
    return tuple(spiffe.format(spiffe.service_id(trust_domain, place, service)) for place in places)
