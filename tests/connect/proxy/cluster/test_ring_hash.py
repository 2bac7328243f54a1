"""The ring: shares by weight, few keys move, the same in every proxy."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster import ring_hash
from meshagent.connect.proxy.cluster.hashing import hash64
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy

KEYS = [hash64(b"key %d" % at) for at in range(4000)]


def ring(made: list[Host]) -> Policy:
    return ring_hash.make(made, Choosing(), 0.0, random.Random(0))


def placed(made: list[Host]) -> list[str]:
    policy = ring(made)
    return [policy.pick(0.0, random.Random(0), key).key for key in KEYS]


def test_shares_follow_weights() -> None:
    counts = Counter(placed(hosts(4, 1, 1, 2, 4)))
    for at, want in enumerate((1 / 8, 1 / 8, 1 / 4, 1 / 2)):
        assert abs(counts[f"10.0.0.{at}:80"] / len(KEYS) - want) < 0.05


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 12), st.data())
def test_only_keys_of_the_host_that_went_move(count: int, data: st.DataObject) -> None:
    """Equal weights: the others' places stay where they are (fewer hosts only have more of them)."""
    made = hosts(count)
    gone = data.draw(st.integers(0, count - 1))
    before, after = placed(made), placed(made[:gone] + made[gone + 1 :])
    moved = sum(one != two for one, two in zip(before, after, strict=True) if one != made[gone].key)
    assert moved / len(KEYS) <= 0.12 + 1 / count


def test_the_order_of_hosts_does_not_matter() -> None:
    made = hosts(5)
    assert placed(made) == placed(list(reversed(made)))


def test_sizes() -> None:
    for count, weights in ((1, ()), (3, ()), (3, (1, 2, 3)), (100, ())):
        made = hosts(count, *weights)
        assert 1024 <= len(ring(made)) <= 8192  # type: ignore[arg-type]
    assert len(ring(hosts(9000))) == 9000, "every host has a place"  # type: ignore[arg-type]
    small = ring_hash.make(hosts(3), Choosing(minimum_ring_size=3, maximum_ring_size=8), 0.0, random.Random(0))
    assert len(small) == 3  # type: ignore[arg-type]
