"""Pauses grow, vary, and begin anew after something lasted."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc.backoff import Backoff


@given(st.integers(), st.integers(1, 40))
def test_pauses_double_up_to_the_longest_and_are_cut_by_up_to_half(seed: int, attempts: int) -> None:
    backoff = Backoff(0.1, 5.0, random.Random(seed))
    for attempt in range(attempts):
        full = min(5.0, 0.1 * 2**attempt)
        assert full / 2 <= backoff.pause() <= full


def test_what_lasted_begins_anew_and_what_flapped_does_not() -> None:
    backoff = Backoff(1.0, 64.0, random.Random(1))
    for _ in range(4):
        backoff.pause()  # the next is 16
    backoff.lasted(31)
    assert backoff.pause() >= 8
    backoff.lasted(64)
    assert backoff.pause() <= 1
