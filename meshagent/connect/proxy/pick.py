"""Which instance a connection goes to: a target by its share, instances by weight, and others when one fails. Pure.

Source: surface rows M24, M25, M43. What may change here: policies of `LoadBalancer` (now: random by weight).
"""

from __future__ import annotations

import random

from meshagent.connect.snapshot import Cluster, Endpoint, Outbound, ProxySnapshot, weighted_targets

__all__ = ["candidates"]


def candidates(
    snapshot: ProxySnapshot, outbound: Outbound, rng: random.Random, limit: int = 3
) -> list[tuple[Cluster, Endpoint]]:
    """The instances to try, in order, `limit` at most; empty when none is there.

    One target is drawn by its share; of it and those it fails over to, the first with instances is taken.
    """
    if outbound.chain is None:
        return []
    shares = weighted_targets(outbound.chain)
    (_, targets), *_ = rng.choices(shares, weights=[share for share, _ in shares])
    for target in targets:
        cluster = snapshot.clusters.get(target)
        if cluster is not None and cluster.endpoints:
            return [(cluster, one) for one in _ordered(cluster.endpoints, rng, limit)]
    return []


def _ordered(endpoints: tuple[Endpoint, ...], rng: random.Random, limit: int) -> list[Endpoint]:
    """A few different instances, drawn by weight."""
    if len(endpoints) == 1:
        return [endpoints[0]]
    left = list(endpoints)
    chosen: list[Endpoint] = []
    while left and len(chosen) < limit:
        (one,) = rng.choices(left, weights=[endpoint.weight for endpoint in left])
        chosen.append(one)
        left.remove(one)
    return chosen
