"""Rates and quantiles from counts."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.telemetry.series import BOUNDS_S, Series
from meshagent.connect.traffic import quantile, rows


def shown(requests: int = 0, failed: int = 0, seconds: float = 0.01, **more: Any) -> dict[str, Any]:
    series = Series(("outbound", "web", "api", ""))
    for at in range(requests):
        series.observe(500 if at < failed else 200, seconds, 100, 0)
    return {**series.shown(), **more}


def test_rates_of_an_interval() -> None:
    (row,) = rows([shown(100)], [shown(300, failed=20, active=3, connections=8)], 2.0)
    assert (row.requests_per_s, row.success_percent, row.connections, row.connections_per_s) == (100.0, 90.0, 3, 4.0)
    assert row.bytes_per_s == 10_000.0


def test_what_began_anew_counts_from_nothing() -> None:
    (row,) = rows([shown(1000)], [shown(10)], 1.0)
    assert row.requests_per_s == 10.0
    (fresh,) = rows([], [shown(10)], 1.0)
    assert fresh.requests_per_s == 10.0


def test_sidecars_of_one_service_are_one_edge() -> None:
    (row,) = rows([shown(0), shown(0)], [shown(10, active=1), shown(30, active=2)], 1.0)
    assert (row.requests_per_s, row.connections) == (40.0, 3)


def test_an_idle_edge_has_no_success() -> None:
    (row,) = rows([shown(5)], [shown(5)], 1.0)
    assert (row.requests_per_s, row.success_percent, row.p99_ms) == (0.0, None, None)


def test_quantiles_are_near_the_truth() -> None:
    rng = random.Random(1)
    series = Series(("", "", "", ""))
    values = sorted(rng.lognormvariate(-4.0, 1.0) for _ in range(20_000))
    for value in values:
        series.observe(200, value, 0, 0)
    for part in (0.5, 0.95, 0.99):
        found = quantile(series.buckets, part)
        assert found == pytest.approx(values[int(part * len(values))], rel=0.25)
    assert quantile([0] * 21, 0.5) is None


@given(st.lists(st.integers(0, 50), min_size=21, max_size=21))
def test_quantiles_rise(buckets: list[int]) -> None:
    found = [quantile(buckets, part) for part in (0.0, 0.5, 0.95, 1.0)]
    if sum(buckets):
        numbers = [one for one in found if one is not None]
        assert len(numbers) == 4
        assert numbers == sorted(numbers)
        assert 0 <= numbers[0] <= numbers[-1] <= BOUNDS_S[-1]
