"""The examples of Envoy's page on priorities, and what always holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.cluster.priorities import loads, panics


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ([(100, 100), (100, 100)], [100, 0]),
        ([(72, 100), (100, 100)], [100, 0]),
        ([(71, 100), (100, 100)], [99.4, 0.6]),
        ([(50, 100), (100, 100)], [70, 30]),
        ([(25, 100), (100, 100)], [35, 65]),
        ([(0, 100), (100, 100)], [0, 100]),
        ([(25, 100), (25, 100)], [50, 50]),  # together too few: shared as they are
        ([(0, 0), (1, 1)], [0, 100]),
        ([(0, 3), (0, 2)], [0, 0]),
        ([], []),
    ],
)
def test_loads(counts: list[tuple[int, int]], wanted: list[float]) -> None:
    assert loads(counts) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize(
    ("counts", "threshold", "wanted"),
    [
        ([(5, 100)], 50, [True]),
        ([(60, 100)], 50, [False]),
        ([(5, 100), (100, 100)], 50, [False, False]),  # the next one can take it all
        ([(5, 100), (55, 100)], 50, [True, False]),
        ([(0, 100)], 0, [False]),
        ([(0, 0)], 50, [False]),
    ],
)
def test_panic(counts: list[tuple[int, int]], threshold: float, wanted: list[bool]) -> None:
    assert panics(counts, threshold) == wanted


@given(st.lists(st.integers(0, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=6))
def test_loads_are_whole_and_in_order(counts: list[tuple[int, int]]) -> None:
    found = loads(counts)
    assert sum(found) == pytest.approx(100.0 if any(good for good, _ in counts) else 0.0)
    assert all(load == 0 for load, (good, _) in zip(found, counts, strict=True) if not good)
