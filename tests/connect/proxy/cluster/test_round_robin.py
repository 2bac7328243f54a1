"""Turns, with and without weights."""

from __future__ import annotations

import random
from collections import Counter

from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster import round_robin
from meshagent.connect.proxy.cluster.policy import Choosing


def test_equal_hosts_take_turns() -> None:
    rng = random.Random(1)
    policy = round_robin.make(hosts(3), Choosing(), 0.0, rng)
    keys = [policy.pick(0.0, rng, 0).key for _ in range(9)]
    assert keys[:3] * 3 == keys
    assert len(set(keys)) == 3


def test_proxies_do_not_start_at_the_same_host() -> None:
    made = hosts(5)
    starts = {
        round_robin.make(made, Choosing(), 0.0, rng).pick(0.0, rng, 0).key for rng in map(random.Random, range(40))
    }
    assert len(starts) == 5


def test_weights_are_kept_exactly_over_a_round() -> None:
    rng = random.Random(1)
    policy = round_robin.make(hosts(3, 1, 2, 7), Choosing(), 0.0, rng)
    counts = Counter(policy.pick(0.0, rng, 0).key for _ in range(1000))
    assert [round(counts[f"10.0.0.{at}:80"] / 100) for at in range(3)] == [1, 2, 7]
