"""A write under an id applies once; the table is bounded, and comes back from a snapshot as it was."""

from __future__ import annotations

import pytest

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
    assert b"4" not in outcomes


def test_the_oldest_is_forgotten_first_also_after_a_snapshot() -> None:
    outcomes, again = Outcomes(kept=3), Outcomes(kept=3)
    for number in range(5):
        outcomes.add(b"%d" % number, number)
    assert len(outcomes) == 3
    again.load(outcomes.dump())
    for each in (outcomes, again):
        each.add(b"5", 5)
        assert [name for name in (b"2", b"3", b"4", b"5") if name in each] == [b"3", b"4", b"5"]


def test_what_msgpack_cannot_hold_is_none_after_a_snapshot() -> None:
    outcomes = Outcomes()
    outcomes.add(b"1", object())
    outcomes.add(b"2", (1, "x"))
    assert [value for _, _, value in outcomes.dump()] == [None, (1, "x")]
