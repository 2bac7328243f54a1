"""The instances of a target, and who they have to be: of this datacenter, of another one, of a peer, of a query. Pure.

Source: surface rows M9, M40-M44, M68. What may change here: another place where instances are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.peering.imported import at_peer
from meshagent.connect import query_upstreams, spiffe
from meshagent.connect.chain import Target
from meshagent.connect.instances import sorted_out, through_gateways
from meshagent.connect.peers import identities_of, peer_sni
from meshagent.connect.query_upstreams import is_query
from meshagent.connect.snapshot import Cluster

if TYPE_CHECKING:
    from meshagent.catalog.watch import Topic
    from meshagent.connect.parts import SnapshotParts

__all__ = ["cluster_of"]

Made = tuple[Cluster, "Iterable[Topic]"]


def cluster_of(parts: SnapshotParts, target: Target) -> Cluster:
    """A target with its instances, kept while they stay."""
    if target.peer:  # a chain does not know how a peer is called
        domain = parts.part(("trust-domain",), lambda: (parts.trust_domain, ("ca-roots",)))
        target = msgspec.structs.replace(target, sni=peer_sni(target.service, domain))
    return parts.cluster(target, lambda: _made(parts, target))


def _made(parts: SnapshotParts, target: Target) -> Made:
    if target.peer:
        return _of_peer(parts, target)
    if is_query(target):
        found, topics = parts.queried(target.service)
        rows = list(found)
        identities = query_upstreams.identities_of(rows, parts.trust_domain, target.datacenter)
        return Cluster(target, identities, *sorted_out(rows, target)), (*topics, "ca-roots")
    identity = spiffe.format(spiffe.service_id(parts.trust_domain, target.datacenter, target.service))
    if target.datacenter != parts.datacenter:
        return _elsewhere(parts, target, identity)
    found, topics = parts.instances(target.service)
    return Cluster(target, (identity,), *sorted_out(found, target)), (*topics, "ca-roots")


def _elsewhere(parts: SnapshotParts, target: Target, identity: str) -> Made:
    """A service of another datacenter is reached through gateways: those here, or those there."""
    mode = target.mesh_gateway.mode
    if mode not in {"local", "remote"}:
        return Cluster(target, (identity,)), ("ca-roots",)
    rows, topics = parts.told.gateways(parts.datacenter if mode == "local" else target.datacenter)
    found = through_gateways(rows, target, remote=mode == "remote")
    return Cluster(target, (identity,), *found), (*topics, "ca-roots")


def _of_peer(parts: SnapshotParts, target: Target) -> Made:
    """Instances of a peer are dialled directly; nobody is, before the peer has told its roots."""
    found, topics = parts.instances(at_peer(target.service, target.peer))
    rows = list(found)
    bundle = parts.bundle(target.peer)
    topics = (*topics, "peering-bundles")
    if bundle is None:
        return Cluster(target, ()), topics
    identities = identities_of(target.service, bundle.trust_domain, rows)
    return Cluster(target, identities, *sorted_out(rows, target)), topics
