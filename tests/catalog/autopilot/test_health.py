from datetime import UTC, datetime

import msgspec
import pytest

from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.autopilot.health import (
    AutopilotState,
    ServerHealth,
    ServerStats,
    ServerView,
    problem_of,
    tolerance,
)

MS = 1_000_000
THEN = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "stats", "problem"),
    [
        ("alive", ServerStats(0, 3, 1000), ""),
        ("alive", ServerStats(200 * MS, 3, 750), ""),
        ("alive", ServerStats(0, 3, 2000), ""),  # it knows more by now
        ("failed", ServerStats(0, 3, 1000), "gossip says failed"),
        ("none", None, "gossip says none"),
        ("alive", None, "it does not answer"),
        ("alive", ServerStats(None, 3, 1000), "it hears no leader"),
        ("alive", ServerStats(201 * MS, 3, 1000), "it heard the leader 201 ms ago"),
        ("alive", ServerStats(0, 2, 1000), "its log ends in term 2, the leader's in 3"),
        ("alive", ServerStats(0, 3, 749), "it is 251 entries behind"),
    ],
)
def test_what_makes_a_server_unhealthy(status: str, stats: ServerStats | None, problem: str) -> None:
    view = ServerView(id="a", status=status, stats=stats)
    assert problem_of(view, AutopilotConfig(), term=3, last_index=1000) == problem


def test_a_leader_that_beats_slowly_is_not_held_against_its_followers() -> None:
    view = ServerView(id="a", stats=ServerStats(350 * MS, 3, 1000))
    assert problem_of(view, AutopilotConfig(), term=3, last_index=1000, patience=400 * MS) == ""


def health(id: str, *, voter: bool = True, healthy: bool = True, leader: bool = False) -> ServerHealth:
    return ServerHealth(id, id, f"{id}:8300", voter, leader, "alive", "1.20.1", {}, 0, 3, 9, healthy, THEN)


@pytest.mark.parametrize(
    ("healthy", "unhealthy", "nonvoters", "tolerated"),
    [(1, 0, 0, 0), (2, 0, 0, 0), (3, 0, 0, 1), (3, 0, 2, 1), (2, 1, 0, 0), (1, 2, 0, 0), (5, 0, 0, 2), (4, 1, 0, 1)],
)
def test_how_many_may_fail(healthy: int, unhealthy: int, nonvoters: int, tolerated: int) -> None:
    servers = [health(f"h{i}") for i in range(healthy)]
    servers += [health(f"u{i}", healthy=False) for i in range(unhealthy)]
    servers += [health(f"n{i}", voter=False) for i in range(nonvoters)]
    assert tolerance(servers) == tolerated


def test_a_state_travels() -> None:
    state = AutopilotState(True, 1, "a", (health("a", leader=True), health("b", voter=False)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=AutopilotState) == state
    assert state.voters == ["a"]
