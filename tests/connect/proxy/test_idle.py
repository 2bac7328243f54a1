"""Connections over which nothing passes."""

from __future__ import annotations

import pytest

from meshagent.connect.proxy.idle import IdleWatch, step_s


def test_who_is_silent_for_the_limit_is_idle() -> None:
    watch: IdleWatch[str] = IdleWatch()
    assert watch.look([("a", 0), ("b", 0)], 0.0, 10.0) == []
    assert watch.look([("a", 0), ("b", 5)], 6.0, 10.0) == []
    assert watch.look([("a", 0), ("b", 5)], 10.0, 10.0) == ["a"]
    assert watch.look([("b", 5)], 15.9, 10.0) == []
    assert watch.look([("b", 5)], 16.0, 10.0) == ["b"]


def test_one_that_came_back_is_another() -> None:
    watch: IdleWatch[str] = IdleWatch()
    watch.look([("a", 0)], 0.0, 10.0)
    watch.look([], 1.0, 10.0)
    assert watch.look([("a", 0)], 20.0, 10.0) == []


def test_without_a_limit_nobody_is_idle_and_nothing_is_kept() -> None:
    watch: IdleWatch[str] = IdleWatch()
    watch.look([("a", 0)], 0.0, 10.0)
    assert watch.look([("a", 0)], 100.0, 0.0) == []
    assert watch.look([("a", 0)], 200.0, 10.0) == []


@pytest.mark.parametrize(
    ("limits", "step"), [((), 60.0), ((0.0,), 60.0), ((3600.0,), 60.0), ((8.0, 3600.0), 2.0), ((0.01,), 0.05)]
)
def test_how_often_it_is_looked(limits: tuple[float, ...], step: float) -> None:
    assert step_s(limits) == step
