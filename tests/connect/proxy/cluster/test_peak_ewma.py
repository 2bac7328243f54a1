"""Latency: peaks count at once, and are forgotten slowly."""

from __future__ import annotations

import random
from collections import Counter

from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster import peak_ewma
from meshagent.connect.proxy.cluster.policy import Choosing


def test_a_peak_counts_at_once_and_decays() -> None:
    (host,) = hosts(1)
    peak_ewma.observe(host, 0.0, 0.010)
    peak_ewma.observe(host, 1.0, 1.0)
    assert host.ewma_s == 1.0
    peak_ewma.observe(host, 11.0, 0.010)  # one decay time later
    assert 0.3 < host.ewma_s < 0.4
    assert peak_ewma.cost(host, 31.0) < peak_ewma.cost(host, 11.0)


def test_the_slow_host_is_left() -> None:
    rng = random.Random(2)
    made = hosts(3)
    for host, seconds in zip(made, (0.010, 0.010, 0.500), strict=True):
        peak_ewma.observe(host, 100.0, seconds)
    policy = peak_ewma.make(made, Choosing(), 100.0, rng)
    counts = Counter(policy.pick(100.0, rng, 0) for _ in range(3_000))
    assert counts[made[2]] == 0
    assert abs(counts[made[0]] - counts[made[1]]) < 300


def test_open_requests_multiply() -> None:
    rng = random.Random(2)
    made = hosts(2)
    for host in made:
        peak_ewma.observe(host, 100.0, 0.010)
    made[0].active = 4
    policy = peak_ewma.make(made, Choosing(), 100.0, rng)
    assert {policy.pick(100.0, rng, 0) for _ in range(50)} == {made[1]}


def test_one_host_and_weights() -> None:
    rng = random.Random(2)
    (single,) = hosts(1)
    assert peak_ewma.make([single], Choosing(), 0.0, rng).pick(0.0, rng, 0) is single
    light, heavy = hosts(2, 1, 10)
    assert peak_ewma.cost(heavy, 0.0) < peak_ewma.cost(light, 0.0)
