"""Tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.rate_limits import Rate
from meshagent.connect.proxy.limits.bucket import Bucket


def test_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(Rate(10.0, 3), 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert (bucket.left, bucket.wait_s) == (0, 1)
    assert [bucket.take(0.1), bucket.take(0.1)] == [True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False], "it never holds more than its burst"


def test_slow_rates_say_how_long_to_wait() -> None:
    bucket = Bucket(Rate(0.1, 1), 0.0)
    bucket.take(0.0)
    assert not bucket.take(0.0)
    assert bucket.wait_s == 10


def test_another_rate_keeps_what_is_left() -> None:
    bucket = Bucket(Rate(1.0, 10), 0.0)
    for _ in range(7):
        bucket.take(0.0)
    bucket.told(Rate(1.0, 2))
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]


@given(st.floats(0.1, 1000), st.integers(1, 100), st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    bucket = Bucket(Rate(rate, burst), 0.0)
    now, taken = 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
        assert taken <= burst + rate * now + 1e-6
