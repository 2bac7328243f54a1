"""Chance by weight."""

from __future__ import annotations

import random
from collections import Counter

from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster import weighted_random
from meshagent.connect.proxy.cluster.policy import Choosing


def shares(*weights: int) -> list[float]:
    rng = random.Random(3)
    policy = weighted_random.make(hosts(len(weights), *weights), Choosing(), 0.0, rng)
    counts = Counter(policy.pick(0.0, rng, 0).key for _ in range(20_000))
    return [counts[f"10.0.0.{at}:80"] / 20_000 for at in range(len(weights))]


def test_equal_weights() -> None:
    assert all(abs(share - 0.25) < 0.02 for share in shares(1, 1, 1, 1))


def test_unequal_weights() -> None:
    assert all(abs(share - want) < 0.02 for share, want in zip(shares(1, 3, 6), (0.1, 0.3, 0.6), strict=True))


def test_a_starting_host_gets_a_part() -> None:
    rng = random.Random(3)
    made = hosts(2)
    made[1].since = 95.0  # half of ten seconds ago
    policy = weighted_random.make(made, Choosing(slow_start_s=10.0), 100.0, rng)
    counts = Counter(policy.pick(100.0, rng, 0) for _ in range(20_000))
    assert abs(counts[made[1]] / counts[made[0]] - 0.5) < 0.05


def test_one_is_drawn_by_weight() -> None:
    rng = random.Random(3)
    made = hosts(2, 1, 9)
    counts = Counter(weighted_random.drawn(made, rng) for _ in range(5_000))
    assert 0.85 < counts[made[1]] / 5_000 < 0.95
