"""A write under an id applies once; the table is bounded, and comes back from a snapshot as it was."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.once import Outcomes
from meshagent.errors import Conflict, InternalError


def test_results_and_errors_come_again() -> None:
    outcomes = Outcomes()
    outcomes.add(b"1", True)
    outcomes.add_error(b"2", Conflict("moved on"))
    outcomes.add_error(b"3", ZeroDivisionError("bug"))
    assert outcomes.result(b"1") is True
    with pytest.raises(Conflict, match="moved on"):
        outcomes.result(b"2")
    with pytest.raises(InternalError):
        outcomes.result(b"3")
    assert b"4" not in outcomes.known


def copied(outcomes: Outcomes, **limits: int) -> Outcomes:
    """As it comes out of a snapshot."""
    again = Outcomes(**limits)
    again.load(outcomes.time_ms, outcomes.marks(), chain.from_iterable(outcomes.dump(at_once=2)))
    return again


def kept(outcomes: Outcomes) -> list[int]:
    return [int(name) for name in outcomes._order]


def test_while_time_stands_still_only_the_most_are_kept() -> None:
    outcomes = Outcomes(kept=1, kept_ms=10, most=3)
    for number in range(5):
        outcomes.add(b"%d" % number, number)
    assert kept(outcomes) == [2, 3, 4]
    assert len(outcomes) == 3


def test_the_newest_are_kept_however_old() -> None:
    outcomes = Outcomes(kept=2, kept_ms=1000, most=10)
    for number in range(4):
        outcomes.pass_to(1 + number)
        outcomes.add(b"%d" % number, number)
    outcomes.pass_to(99_000)
    outcomes.pass_to(199_000)
    assert kept(outcomes) == [2, 3]


def test_none_is_forgotten_before_its_time() -> None:
    """Mutation: `pass_to` does nothing but cut to `kept`: a retry within the hold applies again."""
    outcomes = Outcomes(kept=2, kept_ms=10_000, most=1000)
    for time_ms in range(1, 30_000, 100):
        outcomes.pass_to(time_ms)
        outcomes.add(b"%d" % time_ms, None)
        young = [time for time in range(1, time_ms + 1, 100) if time > time_ms - 10_000]
        assert set(young) <= set(kept(outcomes))
        assert len(outcomes) <= len(young) + 2


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4)), max_size=40), st.integers(0, 39))
def test_a_server_that_began_with_a_snapshot_forgets_the_same(steps: list[tuple[int, int]], at: int) -> None:
    limits = {"kept": 3, "kept_ms": 700, "most": 12}
    outcomes, again, time_ms, number = Outcomes(**limits), None, 0, 0
    for position, (passed_ms, writes) in enumerate(steps):
        if position == at:
            again = copied(outcomes, **limits)
        time_ms += passed_ms
        for each in filter(None, (outcomes, again)):
            each.pass_to(time_ms)
        for _ in range(writes):
            number += 1
            for each in filter(None, (outcomes, again)):
                each.add(b"%d" % number, True)
        if again is not None:
            assert kept(again) == kept(outcomes)
            assert again.marks() == outcomes.marks()


def test_time_never_goes_back() -> None:
    """A new leader may have counted less of it."""
    outcomes = Outcomes()
    for time_ms in (500, 400, 0):
        outcomes.pass_to(time_ms)
        assert outcomes.time_ms == 500


def test_what_msgpack_cannot_hold_is_none_after_a_snapshot() -> None:
    outcomes = Outcomes()
    outcomes.add(b"1", object())
    outcomes.add(b"2", (1, "x"))
    assert [[value for _, _, value in piece] for piece in outcomes.dump()] == [[None, (1, "x")]]
    again = copied(outcomes)
    assert again.result(b"1") is None


def test_all_of_them_go_in_steps() -> None:
    outcomes = Outcomes()
    for number in range(12_000):
        outcomes.add(b"%d" % number, True)
    assert sum(1 for _ in outcomes.let_go()) > 200
    assert (len(outcomes), len(outcomes.known)) == (0, 0)
