"""The less busy one."""

from __future__ import annotations

import random
from collections import Counter

from meshtest.clusters import hosts

from meshagent.connect.proxy.cluster import least_request
from meshagent.connect.proxy.cluster.policy import Choosing


def test_a_busy_host_is_taken_only_when_it_is_all_that_was_drawn() -> None:
    rng = random.Random(5)
    made = hosts(4)
    made[0].active = 100
    policy = least_request.make(made, Choosing(), 0.0, rng)
    counts = Counter(policy.pick(0.0, rng, 0) for _ in range(16_000))
    assert abs(counts[made[0]] / 16_000 - 1 / 16) < 0.01


def test_more_choices_find_the_idle_one_more_often() -> None:
    rng = random.Random(5)
    made = hosts(10)
    for host in made[1:]:
        host.active = 5
    found = []
    for choices in (2, 8):
        policy = least_request.make(made, Choosing(choice_count=choices), 0.0, rng)
        found.append(Counter(policy.pick(0.0, rng, 0) for _ in range(4_000))[made[0]] / 4_000)
    assert abs(found[0] - (1 - 0.9**2)) < 0.03
    assert abs(found[1] - (1 - 0.9**8)) < 0.03


def test_it_keeps_load_more_even_than_chance() -> None:
    """Requests that end in the order they began, 64 at once."""
    worst = {}
    for name, choosing in (("p2c", 2), ("more", 5)):
        rng = random.Random(5)
        made = hosts(16)
        policy = least_request.make(made, Choosing(choice_count=choosing), 0.0, rng)
        open_: list[object] = []
        most = 0
        for _ in range(5_000):
            host = policy.pick(0.0, rng, 0)
            host.active += 1
            open_.append(host)
            if len(open_) > 64:
                open_.pop(0).active -= 1  # type: ignore[attr-defined]
            most = max(most, *(one.active for one in made))
        worst[name] = most
    assert worst["more"] <= worst["p2c"] <= 12  # 4 is even; chance alone gives 13 and more


def test_weights_and_load_together() -> None:
    rng = random.Random(5)
    made = hosts(2, 1, 3)
    policy = least_request.make(made, Choosing(), 0.0, rng)
    counts = Counter(policy.pick(0.0, rng, 0) for _ in range(1_000))
    assert 740 <= counts[made[1]] <= 760
    made[1].active = 11  # a twelfth of three is less than one
    counts = Counter(policy.pick(0.0, rng, 0) for _ in range(1_000))
    assert counts[made[0]] > 700
