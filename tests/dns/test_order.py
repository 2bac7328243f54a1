from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.dns.order import Order

WEIGHTS = st.lists(st.integers(0, 65535), min_size=1, max_size=60)


@given(WEIGHTS, st.booleans(), st.integers(0, 60), st.integers())
def test_a_draw_names_each_position_at_most_once(weights: list[int], even: bool, count: int, seed: int) -> None:
    total = len(weights)
    count = min(count, total)
    drawn = Order(total, None if even else weights).draw(random.Random(seed), count)
    assert len(drawn) == len(set(drawn)) == count
    assert all(0 <= position < total for position in drawn)


@pytest.mark.parametrize(("total", "count"), [(3, 3), (3, 1), (40, 3), (40, 40), (200, 74)])
def test_without_weights_every_position_is_as_often_first(total: int, count: int) -> None:
    # D23
    order, rng = Order(total, None), random.Random(5)
    first = Counter(order.draw(rng, count)[0] for _ in range(200 * total))
    assert len(first) == total
    assert min(first.values()) > 120 and max(first.values()) < 290


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_is_drawn_in_proportion_to_the_weights(count: int) -> None:
    # D4: weights also steer A answers, which do not carry them
    order, rng = Order(3, [1, 3, 6]), random.Random(5)
    first = Counter(order.draw(rng, count)[0] for _ in range(10_000))
    assert first[0] == pytest.approx(1000, rel=0.15)
    assert first[1] == pytest.approx(3000, rel=0.1)
    assert first[2] == pytest.approx(6000, rel=0.1)


def test_few_of_many_are_drawn_in_proportion_too() -> None:
    order, rng = Order(100, [9] * 10 + [1] * 90), random.Random(5)
    heavy = sum(order.draw(rng, 1)[0] < 10 for _ in range(10_000))
    assert heavy == pytest.approx(5000, rel=0.1)


def test_one_that_outweighs_all_does_not_hold_up_the_rest() -> None:
    order, rng = Order(100, [65535] + [0] * 99), random.Random(5)
    for _ in range(50):
        drawn = order.draw(rng, 8)
        assert drawn[0] == 0 and len(set(drawn)) == 8


def test_weight_0_comes_last() -> None:
    order, rng = Order(3, [0, 1, 1]), random.Random(5)
    assert all(order.draw(rng, 3)[-1] == 0 for _ in range(200))
