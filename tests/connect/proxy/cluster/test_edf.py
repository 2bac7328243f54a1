"""Turns by weight: exact shares, and no host is starved."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster.edf import EarliestDeadline


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 1000))
def test_each_gets_its_share_within_two_turns(weights: list[int], seed: int) -> None:
    rng = random.Random(seed)
    policy = EarliestDeadline(hosts(len(weights), *weights), 0.0, rng, lambda host, now: host.weight)
    rounds = 5
    counts = Counter(policy.pick(0.0, rng, 0).key for _ in range(rounds * sum(weights)))
    for at, weight in enumerate(weights):
        assert abs(counts[f"10.0.0.{at}:80"] - rounds * weight) <= 2


def test_a_weight_that_moves_counts_from_the_next_turn_on() -> None:
    rng = random.Random(1)
    made = hosts(2)
    policy = EarliestDeadline(made, 0.0, rng, lambda host, now: host.weight)
    for _ in range(20):
        policy.pick(0.0, rng, 0)
    made[0].weight = 9
    counts = Counter(policy.pick(0.0, rng, 0) for _ in range(1000))
    assert 880 <= counts[made[0]] <= 920
