"""What is being served is bounded, and what leaves is counted against what was read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc.frames import LEAST_PIECE_BYTES, weight
from meshagent.catalog.rpc.served import Served


def served(window: int) -> Served:
    requests = Served(10, 1000)
    assert requests.open(1, 5, window)
    return requests


def test_not_too_many_and_not_too_large_together() -> None:
    requests = Served(3, 100)
    assert requests.open(1, 500, 0), "one alone may be larger"
    assert not requests.open(2, 0, 0)
    assert requests.close(1)
    assert not requests.close(1)
    assert [requests.open(id, 40, 0) for id in (2, 3, 4)] == [True, True, False]
    assert [requests.open(id, 1, 0) for id in (5, 6)] == [True, False]
    assert (list(requests), 3 in requests, 4 in requests) == ([2, 3, 5], True, False)
    requests.clear()
    assert requests.open(4, 100, 0)


@given(st.integers(1, 5000), st.lists(st.one_of(st.binary(max_size=900), st.integers(-5, 2000)), max_size=40))
def test_no_more_is_unread_than_the_window_and_one_piece(window: int, steps: list[bytes | int]) -> None:
    requests, unread = served(window), 0
    for step in steps:
        spent = requests.is_spent(1)
        assert spent == (unread >= window)
        if isinstance(step, bytes):
            if not spent:
                requests.leaves(1, step)
                unread += weight(step)
        else:
            read = min(step, unread)
            goes_on = requests.read(1, read)
            unread -= max(read, 0)
            assert goes_on == (spent and unread < window)
        assert unread < window + 900


@pytest.mark.parametrize("window", [0, -1])
def test_without_a_window_nothing_waits(window: int) -> None:
    requests = served(window)
    requests.leaves(1, bytes(1 << 20))
    assert not requests.is_spent(1)
    assert not requests.read(1, 5)


def test_what_is_over_has_no_window_any_more() -> None:
    requests = served(LEAST_PIECE_BYTES)
    requests.leaves(1, b"")
    assert requests.is_spent(1)
    requests.close(1)
    assert not requests.is_spent(1)
    assert not requests.read(1, 5)
