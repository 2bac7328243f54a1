"""The table: even, few keys move, the same in every proxy."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster import maglev
from meshagent.connect.proxy.cluster.hashing import hash64
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing

KEYS = [hash64(b"key %d" % at) for at in range(4000)]


def placed(made: list[Host]) -> list[str]:
    policy = maglev.make(made, Choosing(), 0.0, random.Random(0))
    return [policy.pick(0.0, random.Random(0), key).key for key in KEYS]


def test_places_are_shared_evenly() -> None:
    policy = maglev.Maglev(hosts(7), 4099)
    counts = Counter(policy.pick(0.0, random.Random(0), place) for place in range(4099))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_places_follow_weights() -> None:
    made = hosts(3, 1, 3, 4)
    policy = maglev.Maglev(made, 4099)
    counts = Counter(policy.pick(0.0, random.Random(0), place) for place in range(4099))
    for host, share in zip(made, (1 / 8, 3 / 8, 1 / 2), strict=True):
        assert abs(counts[host] / 4099 - share) < 0.01


@pytest.mark.parametrize("count", [2, 5, 20])
def test_few_keys_move_that_had_not_to(count: int) -> None:
    made = hosts(count)
    before, after = placed(made), placed(made[1:])
    moved = sum(one != two for one, two in zip(before, after, strict=True) if one != made[0].key)
    assert moved / len(KEYS) < 0.08


def test_the_order_of_hosts_does_not_matter() -> None:
    made = hosts(5)
    assert placed(made) == placed(list(reversed(made)))


def test_the_table_grows_with_the_hosts() -> None:
    assert [maglev.size_for(count) for count in (1, 64, 65, 1024, 1025)] == [4099, 4099, 16411, 16411, 65537]
