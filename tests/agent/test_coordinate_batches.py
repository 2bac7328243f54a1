"""Surface rows CO3, S51: how coordinates get into the catalog."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.coordinate_batches import CoordinateBatches, interval_s, tell_coordinate
from meshagent.agent.http.inside import ask
from meshagent.catalog.model import Coordinate, CoordinateRow
from meshagent.clock import Tasks, VirtualClock
from meshagent.errors import NoLeader


def row(node: str, error: float = 1.0) -> CoordinateRow:
    return CoordinateRow(node=node, coord=Coordinate(error=error))


@pytest.fixture
def server() -> Any:
    written: list[tuple[CoordinateRow, ...]] = []

    async def write(command: Any) -> None:
        if server.leaderless:
            raise NoLeader
        written.append(command.updates)

    server = SimpleNamespace(clock=VirtualClock(), tasks=Tasks(), write=write, written=written, leaderless=False)
    return server


async def test_what_comes_in_a_period_is_written_together_and_the_newest_counts(server: Any) -> None:
    batches = CoordinateBatches(server)
    batches.add(row("a", 1.0))
    batches.add(row("A", 0.5))
    batches.add(row("b"))
    await server.clock.advance(4.9)
    assert server.written == []
    await server.clock.advance(0.2)
    assert server.written == [(row("A", 0.5), row("b"))]
    batches.add(row("a"))
    await server.clock.advance(5.1)
    assert len(server.written) == 2


async def test_batches_are_bounded(server: Any) -> None:
    batches = CoordinateBatches(server)
    for number in range(1000):
        batches.add(row(f"n{number}"))
    batches.add(row("n0", 0.1))
    await server.clock.advance(5.1)
    assert [len(updates) for updates in server.written] == [128] * 5
    assert server.written[0][0] == row("n0", 0.1)


async def test_without_a_leader_they_are_dropped(server: Any) -> None:
    batches = CoordinateBatches(server)
    server.leaderless = True
    batches.add(row("a"))
    await server.clock.advance(5.1)
    server.leaderless = False
    batches.add(row("b"))
    await server.clock.advance(5.1)
    assert server.written == [(row("b"),)]


@pytest.mark.parametrize(("members", "seconds"), [(0, 15.0), (960, 15.0), (6400, 100.0)])
def test_many_agents_tell_theirs_more_rarely(members: int, seconds: float) -> None:
    assert interval_s(members) == seconds


async def test_an_agent_tells_its_own_again_and_again() -> None:
    live = InProcess()
    await live.start()
    asked: list[tuple[str, str, bytes]] = []
    failing = [NoLeader()]

    async def ask_own(method: str, target: str, token: str, body: bytes) -> Any:
        if failing:
            raise failing.pop()
        asked.append((method, target, body))
        return await ask(live.dispatcher, method, target, token, body)

    telling = asyncio.ensure_future(tell_coordinate(live.agent, live.pools, ask_own))
    await live.clock.advance(14.9)
    assert failing
    await live.clock.advance(15.2)
    assert not failing
    for _ in range(4):
        await live.clock.advance(15)
    assert len(asked) >= 2
    assert asked[0][:2] == ("PUT", "/v1/coordinate/update")
    (row,) = await live.get("/v1/coordinate/node/n1")
    assert (row["Node"], row["Coord"]["Error"], len(row["Coord"]["Vec"])) == ("n1", 1.5, 8)
    telling.cancel()
    await live.stop()
