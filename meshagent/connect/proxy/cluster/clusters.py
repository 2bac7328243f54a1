"""The clusters of a sidecar: one for each resolver node of each upstream, following the snapshot.

Source: surface rows M24, M40-M43. What may change here: where settings come from.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from meshagent.connect.chain import Chain, ResolverNode, RouterNode, SplitterNode
from meshagent.connect.proxy.cluster.cluster import Cluster, ClusterSettings, Event
from meshagent.connect.proxy.cluster.host import Host, HostKey
from meshagent.connect.proxy.cluster.locality import by_locality
from meshagent.connect.proxy.cluster.policy import Choosing
from meshagent.connect.proxy.cluster.table import row_of
from meshagent.connect.snapshot import Cluster as ClusterRow
from meshagent.connect.snapshot import Endpoint, Outbound, ProxySnapshot

__all__ = ["Clusters", "weighted_nodes"]


class Clusters:
    """By (where the upstream listens, the resolver node of its chain)."""

    def __init__(
        self,
        now: Callable[[], float],
        rng: random.Random,
        on_event: Event = lambda *_: None,
        pool_of: Callable[[Host, Cluster, Outbound], Any] = lambda *_: None,
    ) -> None:
        """`now` gives monotonic seconds; `pool_of` what the `pool` of a new host of an upstream that speaks HTTP is."""
        self._now = now
        self._rng = rng
        self._pool_of = pool_of
        self._on_event = on_event
        self._clusters: dict[tuple[str, str], Cluster] = {}
        #: How connections are shared between nodes, by upstream: (percent up to here, cluster).
        self._shares: dict[str, list[tuple[float, Cluster]]] = {}

    def update(self, snapshot: ProxySnapshot) -> list[Host]:
        """Take up a snapshot. Returns the hosts that left."""
        left: list[Host] = []
        seen: dict[tuple[str, str], Cluster] = {}
        self._shares = {}
        for outbound in snapshot.outbound:
            chain = outbound.chain
            if chain is None:
                continue
            for key, node in chain.nodes.items():
                if not isinstance(node, ResolverNode):
                    continue
                at = (outbound.key, key)
                settings = settings_of(node, outbound)
                cluster = self._clusters.get(at)
                if cluster is None or cluster.protocol != chain.protocol:
                    cluster = Cluster(node.name, settings, self._now, self._rng, self._on_event)
                    cluster.protocol = chain.protocol
                    if chain.is_http or chain.is_detected:
                        cluster.pool_of = self._pools(cluster, outbound)
                seen[at] = cluster
                left += cluster.update(_groups(snapshot, node), settings)
            up_to, shares = 0.0, []
            for percent, node_key in weighted_nodes(chain):
                up_to += percent
                shares.append((up_to, seen[outbound.key, node_key]))
            self._shares[outbound.key] = shares
        for at, cluster in self._clusters.items():
            if seen.get(at) is not cluster:
                left += cluster.update([], cluster.settings)
        self._clusters = seen
        return left

    def _pools(self, cluster: Cluster, outbound: Outbound) -> Callable[[Host], Any]:
        return lambda host: self._pool_of(host, cluster, outbound)

    def of(self, outbound_key: str, node_key: str) -> Cluster | None:
        """The cluster of a resolver node, None when the snapshot has no such node."""
        return self._clusters.get((outbound_key, node_key))

    def drawn(self, outbound_key: str) -> Cluster | None:
        """The cluster for a new connection of an upstream, drawn by the shares of its splits."""
        shares = self._shares.get(outbound_key)
        if not shares:
            return None
        if len(shares) == 1:
            return shares[0][1]
        place = self._rng.random() * shares[-1][0]
        return next((cluster for up_to, cluster in shares if place < up_to), shares[-1][1])

    def host(self, outbound_key: str, key: HostKey) -> tuple[Cluster, Host] | None:
        """An instance of an upstream with the first of its clusters that has it."""
        for (at, _), cluster in self._clusters.items():
            host = cluster.host(key) if at == outbound_key else None
            if host is not None:
                return cluster, host
        return None

    def all(self) -> list[tuple[str, Cluster]]:
        """(where the upstream listens, cluster), for metrics and checks."""
        return [(key, cluster) for (key, _), cluster in self._clusters.items()]


def settings_of(node: ResolverNode, outbound: Outbound) -> ClusterSettings:
    """How the hosts of a node are used."""
    balancer = node.load_balancer
    resilience = outbound.resilience
    ring = balancer.ring_hash_config if balancer is not None else None
    least = balancer.least_request_config if balancer is not None else None
    return ClusterSettings(
        row=row_of(resilience.policy, balancer.policy if balancer is not None else ""),
        choosing=Choosing(
            choice_count=(least.choice_count if least is not None else 0) or 2,
            minimum_ring_size=(ring.minimum_ring_size if ring is not None else 0) or 1024,
            maximum_ring_size=(ring.maximum_ring_size if ring is not None else 0) or 8192,
            slow_start_s=resilience.slow_start_s,
        ),
        hash_policies=balancer.hash_policies if balancer is not None else (),
        resilience=resilience,
    )


def _groups(snapshot: ProxySnapshot, node: ResolverNode) -> list[list[tuple[ClusterRow, Endpoint]]]:
    """The instances of a node by priority: its target's, then those of its failover targets; nearer ones first."""
    groups = []
    for target in (node.target, *(node.failover or ())):
        row = snapshot.clusters.get(target)
        if row is not None:
            mode = row.target.prioritize_by_locality
            nearer = by_locality(row.endpoints, snapshot.region, snapshot.zone, mode)
            groups += [[(row, endpoint) for endpoint in group] for group in nearer]
    return groups


def weighted_nodes(chain: Chain) -> list[tuple[float, str]]:
    """How connections of a chain are shared: (percent, resolver node). Routes need requests: the last one counts."""

    def below(key: str, share: float) -> list[tuple[float, str]]:
        node = chain.nodes[key]
        if isinstance(node, ResolverNode):
            return [(share, key)]
        if isinstance(node, SplitterNode):
            return [found for one in node.splits for found in below(one.next, share * one.weight / 100)]
        if isinstance(node, RouterNode):
            return below(node.routes[-1].next, share)
        raise TypeError(key)

    return below(chain.start, 100.0)
