"""A bucket lets its rate pass, and its burst at once."""

from __future__ import annotations

import pytest

from meshagent.agent.bucket import Bucket


def test_a_bucket_lets_its_rate_pass() -> None:
    bucket = Bucket(10, now=0.0)
    assert [bucket.take(0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [bucket.take(0.5) for _ in range(6)] == [True] * 5 + [False]
    assert sum(bucket.take(100.0) for _ in range(50)) == 10


@pytest.mark.parametrize(("rate", "passes"), [(-1, True), (0, False)])
def test_no_limit_and_nothing(rate: float, passes: bool) -> None:
    bucket = Bucket(rate, now=0.0)
    assert {bucket.take(second / 10) for second in range(100)} == {passes}


def test_slow_rates_let_one_pass_in_their_time() -> None:
    bucket = Bucket(0.5, now=0.0)
    assert [bucket.take(float(second)) for second in range(1, 7)] == [True, False, True, False, True, False]


def test_a_burst_of_its_own() -> None:
    bucket = Bucket(2, now=0.0, burst=5)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert sum(bucket.take(1000.0) for _ in range(50)) == 5
    assert [Bucket(0, now=0.0, burst=1).take(9.0), Bucket(3, now=0.0, burst=0).take(9.0)] == [True, False]
