"""Autopilot over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.autopilot.decisions import Promote, Remove
from meshagent.catalog.autopilot.health import AutopilotState, ServerStats, ServerView
from meshagent.catalog.autopilot.machine import DEAD_FOR_S, Autopilot

START = datetime(2024, 1, 1, tzinfo=UTC)
FINE = ServerStats(0, 3, 100)


class Run:
    """A machine whose servers change with time."""

    def __init__(self) -> None:
        self.machine = Autopilot()
        self.servers = {name: ServerView(id=name, leader=name == "a", stats=FINE) for name in "abc"}
        self.now = 0.0

    def set(self, name: str, **given: Any) -> None:
        self.servers[name] = ServerView(id=name, leader=name == "a", **{"stats": FINE, **given})

    def at(self, now: float) -> tuple[AutopilotState, Promote | Remove | None]:
        self.now = now
        return self.machine.step(
            list(self.servers.values()), AutopilotConfig(), term=3, last_index=100, now=now,
            wall=START + timedelta(seconds=now),
        )  # fmt: skip


def test_a_healthy_cluster() -> None:
    state, change = Run().at(0)
    assert state.healthy
    assert state.failure_tolerance == 1
    assert state.leader == "a"
    assert state.voters == ["a", "b", "c"]
    assert change is None


def test_a_new_server_votes_after_it_was_stable_without_a_break() -> None:
    run = Run()
    run.at(0)
    run.set("d", voter=False, stats=None)
    assert run.at(2)[1] is None
    run.set("d", voter=False)
    assert run.at(4)[1] is None
    run.set("d", voter=False, stats=ServerStats(None, 3, 100))
    state, _ = run.at(8)
    assert not state.healthy
    assert state.servers[3].reason == "it hears no leader"
    run.set("d", voter=False)
    assert run.at(12)[1] is None
    assert run.at(21.9)[1] is None
    assert isinstance(run.at(22)[1], Promote)


def test_stable_since_is_when_the_health_changed() -> None:
    run = Run()
    run.at(0)
    run.set("c", status="failed", stats=None)
    assert run.at(5)[0].servers[2].stable_since == START + timedelta(seconds=5)
    assert run.at(7)[0].servers[2].stable_since == START + timedelta(seconds=5)
    assert run.at(7)[0].servers[0].stable_since == START


def test_a_dead_server_is_removed_after_a_while() -> None:
    run = Run()
    run.at(0)
    run.set("c", status="failed", stats=None)
    state, change = run.at(4)
    assert not state.healthy
    assert state.failure_tolerance == 0
    assert change is None
    assert run.at(4 + DEAD_FOR_S - 0.1)[1] is None
    change = run.at(4 + DEAD_FOR_S)[1]
    assert isinstance(change, Remove)
    assert change.id == "c"


def test_one_that_comes_back_in_time_stays() -> None:
    run = Run()
    run.set("c", status="failed", stats=None)
    run.at(0)
    run.set("c")
    run.at(9)
    run.set("c", status="failed", stats=None)
    assert run.at(18)[1] is None
    assert run.at(27.9)[1] is None
    assert isinstance(run.at(28)[1], Remove)


def test_a_new_leader_that_knows_nobody_yet_removes_nobody_at_once() -> None:
    run = Run()
    run.set("b", status="none")
    run.set("c", status="none")
    assert run.at(0)[1] is None
    assert run.at(60)[1] is None  # a majority is never removed


def test_a_server_that_gossip_has_lost_but_that_answers_is_not_dead() -> None:
    run = Run()
    run.set("c", status="failed")
    run.at(0)
    assert run.at(60)[1] is None
    assert run.at(60)[0].servers[2].reason == "gossip says failed"
    run.set("c", status="left")
    run.at(61)
    assert isinstance(run.at(61 + DEAD_FOR_S)[1], Remove)


def test_a_removed_server_is_forgotten() -> None:
    run = Run()
    run.set("c", status="failed", stats=None)
    run.at(0)
    del run.servers["c"]
    run.at(20)
    run.set("c", voter=False, status="failed", stats=None)
    assert run.at(21)[1] is None
