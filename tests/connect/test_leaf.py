"""When a leaf is renewed (surface row M63)."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.connect.leaf import LONGEST_RETRY, ROOT_WINDOW, Renewal, health

START = datetime(2024, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)


def renewal(seed: int = 1, hours: int = 72) -> Renewal:
    return Renewal(random.Random(seed), START, START + hours * H)


@given(st.integers(0, 2**32), st.integers(1, 8760))
def test_it_comes_between_half_and_65_percent_of_the_life(seed: int, hours: int) -> None:
    due = renewal(seed, hours).due
    assert START + hours * H * 0.5 <= due <= START + hours * H * 0.65


@given(st.integers(0, 2**32))
def test_the_default_leaf_outlives_a_day_without_servers(seed: int) -> None:
    one = renewal(seed)
    assert one.valid_before - one.due >= 24 * H


def test_the_agents_of_a_cluster_do_not_come_at_once() -> None:
    dues = sorted(renewal(seed).due for seed in range(200))
    assert max(b - a for a, b in itertools.pairwise(dues)) < H
    assert dues[-1] - dues[0] > 8 * H


@given(st.integers(0, 2**32))
def test_a_new_root_brings_it_within_half_a_minute_and_never_later(seed: int) -> None:
    one = renewal(seed)
    one.root_changed(START + H)
    assert START + H <= one.due <= START + H + ROOT_WINDOW
    before = one.due
    one.root_changed(START + 2 * H)
    assert one.due == before


def test_failures_come_later_and_later_and_a_success_forgets_them() -> None:
    one = renewal()
    now = START + 60 * H
    pauses = []
    for _ in range(12):
        one.failed(now)
        pauses.append(one.due - now)
    assert timedelta(seconds=1) <= pauses[0] <= timedelta(seconds=2)
    assert LONGEST_RETRY / 2 <= pauses[-1] <= LONGEST_RETRY
    one.failed(now, limited=True)
    assert one.due - now <= ROOT_WINDOW
    one.issued(now, now + 72 * H)
    assert one.failures == 0
    assert one.due >= now + 36 * H


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0, "passing"), (53.9, "passing"), (54, "warning"), (64.8, "critical"), (72, "expired"), (99, "expired")],
)
def test_health(hours: float, expected: str) -> None:
    assert health(START, START + 72 * H, START + hours * H) == expected
