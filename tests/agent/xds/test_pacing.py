from __future__ import annotations

import pytest

from meshagent.agent.xds.pacing import Pace


def test_turns_are_as_far_apart_as_asked() -> None:
    pace = Pace(4)
    assert [pace.turn(10.0) for _ in range(3)] == [0.0, 0.25, 0.5]
    assert pace.turn(10.5) == pytest.approx(0.25)
    assert pace.turn(20.0) == 0.0, "who did not ask has not saved up"
    assert pace.turn(20.0) == 0.25


def test_without_a_limit_nobody_waits() -> None:
    pace = Pace(0)
    assert [pace.turn(1.0) for _ in range(100)] == [0.0] * 100
