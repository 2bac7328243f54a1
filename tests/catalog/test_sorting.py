"""Whatever the runs, the keys come out in order, each once, and never many at a time."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog import sorting
from meshagent.catalog.sorting import sorted_in_steps


@given(st.sets(st.text(max_size=4), max_size=60), st.integers(1, 9), st.randoms(use_true_random=False))
def test_all_come_out_in_order(keys: set[str], size: int, rng: random.Random) -> None:
    shuffled = sorted(keys)
    rng.shuffle(shuffled)
    runs = [sorted(shuffled[at : at + size]) for at in range(0, len(shuffled), size)]
    assert [key for step in sorted_in_steps(runs) for key in step] == sorted(keys)


def test_a_step_is_small_whatever_the_order() -> None:
    keys = [f"app/{number % 97}/{number:06d}" for number in range(60_000)]
    for seed in (None, 1):
        if seed is not None:
            random.Random(seed).shuffle(keys)
        runs = [sorted(keys[at : at + 500]) for at in range(0, len(keys), 500)]
        steps = list(sorted_in_steps(runs))
        assert [key for step in steps for key in step] == sorted(keys)
        assert max(map(len, steps)) < 3 * sorting.BUCKET_KEYS


def test_empty_runs_are_no_trouble() -> None:
    assert [key for step in sorted_in_steps([[], ["a"], []]) for key in step] == ["a"]
    assert list(sorted_in_steps([])) == [[]]
