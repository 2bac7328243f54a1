"""Who comes and goes is believed later and later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.flapping import LONGEST_S, OFTEN, STEADY_S, WINDOW_S, Flapping


def test_the_first_returns_are_believed_at_once() -> None:
    flapping = Flapping()
    assert flapping.wait_s("a", 0.0) == 0.0
    for at in range(OFTEN - 1):
        flapping.failed("a", at * 10.0)
        assert flapping.wait_s("a", at * 10.0 + 5) == 0.0


def test_later_ones_must_stay_and_longer_each_time() -> None:
    flapping = Flapping()
    waits = []
    for at in range(OFTEN + 4):
        flapping.failed("a", at * 10.0)
        flapping.failed("a", at * 10.0 + 1)  # it is still down: the same failure
        waits.append(flapping.wait_s("a", at * 10.0 + 2))
    assert waits == [0.0, 0.0, STEADY_S, 2 * STEADY_S, 4 * STEADY_S, LONGEST_S, LONGEST_S]
    back = (OFTEN + 3) * 10.0 + 2
    assert flapping.wait_s("a", back + LONGEST_S - 1) == 1.0
    assert flapping.wait_s("a", back + LONGEST_S) == 0.0
    assert flapping.wait_s("a", back + LONGEST_S + 1) == 0.0


def test_old_failures_are_forgiven_and_those_who_left_forgotten() -> None:
    flapping = Flapping()
    for at in range(OFTEN):
        flapping.failed("a", float(at))
        flapping.wait_s("a", at + 0.5)
    flapping.failed("a", WINDOW_S + OFTEN)
    assert flapping.wait_s("a", WINDOW_S + OFTEN + 1) == 0.0
    flapping.keep(set())
    assert vars(flapping) == {"_failures": {}, "_down": set(), "_back": {}}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=60))
def test_nobody_who_stays_waits_for_ever(turns: list[tuple[bool, float]]) -> None:
    flapping, now = Flapping(), 0.0
    for down, gap in turns:
        now += gap
        if down:
            flapping.failed("a", now)
        else:
            assert 0.0 <= flapping.wait_s("a", now) <= LONGEST_S
    flapping.wait_s("a", now)
    assert flapping.wait_s("a", now + LONGEST_S) == 0.0
