"""Autopilot's hands: what it asks, and what it changes, on virtual time with servers that are only told of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from meshtest.inprocess import NODE_ID, InProcess, server_config

from meshagent.agent.autopilot import AutopilotKeeper
from meshagent.agent.config.server import Autopilot
from meshagent.agent.membership import Member
from meshagent.agent.operator_calls import own_stats
from meshagent.agent.settings import autopilot_bootstrap
from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.raft.configuration import Server
from meshagent.errors import MeshError, NoLeader, Unavailable


class Others:
    """The rest of a cluster: its Raft configuration, its gossip, and who answers."""

    def __init__(self, live: InProcess) -> None:
        self.live = live
        self.changes: list[tuple[object, ...]] = []
        self.servers: tuple[Server, ...] = tuple(Server(id, f"{id}:8300", True) for id in (NODE_ID, "b", "c"))
        self.status = {NODE_ID: 1, "b": 1, "c": 1}
        self.silent: set[str] = set()
        self.refusal: MeshError | None = None

    async def add_server(self, node_id: str, address: str, *, voter: bool = False) -> None:
        self.changes.append(("add", node_id, voter))
        if self.refusal is not None:
            raise self.refusal
        rest = [one for one in self.servers if one.node_id != node_id]
        self.servers = (*rest, Server(node_id, address, voter))

    async def remove_server(self, node_id: str) -> None:
        self.changes.append(("remove", node_id))
        self.servers = tuple(one for one in self.servers if one.node_id != node_id)

    def call(self, node_id: str, method: str, payload: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if node_id in self.silent:
            answer.set_exception(Unavailable("no connection"))
        else:
            answer.set_result(msgspec.msgpack.encode(own_stats(self.live.agent)))
        return answer

    def members(self, *, wan: bool = False) -> list[Member]:
        return [
            Member(name=f"name-{id[:1]}", addr="", port=0, tags={"id": id, "build": "1.20.1:x"}, status=status)
            for id, status in self.status.items()
        ]

    async def force_leave(self, name: str, *, prune: bool = False, wan: bool = False) -> None:
        self.changes.append(("left", name))


@pytest.fixture
async def others() -> AsyncIterator[Others]:
    live = InProcess()
    await live.start()
    others = Others(live)
    live.agent.extras |= {"raft": others, "peers": others, "members": others}
    live.tasks.start(live.autopilot.run(), name="autopilot")
    await live.settle()
    yield others
    await live.stop()


def test_the_first_configuration_is_the_agents() -> None:
    block = Autopilot(cleanup_dead_servers=False, last_contact_threshold=0.3, server_stabilization_time=5.0)
    assert autopilot_bootstrap(server_config(autopilot=block)) == AutopilotConfig(
        cleanup_dead_servers=False, last_contact_threshold=300_000_000, server_stabilization_time=5_000_000_000
    )


async def test_it_is_written_once(others: Others) -> None:
    config = others.live.store.autopilot.config
    assert config is not None
    await others.live.autopilot.configure()
    assert others.live.store.autopilot.config == config


async def test_a_healthy_cluster_is_left_alone(others: Others) -> None:
    await others.live.clock.advance(60)
    state = others.live.autopilot.state
    assert state is not None
    assert state.healthy
    assert state.failure_tolerance == 1
    assert state.leader == NODE_ID
    assert [server.name for server in state.servers] == ["name-1", "name-b", "name-c"]
    assert not others.changes


async def test_a_new_server_gets_its_vote(others: Others) -> None:
    others.servers += (Server("d", "d:8300", False),)
    others.status["d"] = 1
    await others.live.clock.advance(9)
    assert not others.changes
    await others.live.clock.advance(6)
    assert others.changes == [("add", "d", True)]


async def test_a_promotion_that_fails_is_tried_again(others: Others) -> None:
    others.refusal = Unavailable("server d has not caught up with the log yet")
    others.servers += (Server("d", "d:8300", False),)
    others.status["d"] = 1
    await others.live.clock.advance(14)
    others.refusal = None
    await others.live.clock.advance(4)
    assert others.changes[-1] == ("add", "d", True)
    assert len(others.changes) > 1
    assert Server("d", "d:8300", True) in others.servers


async def test_a_failed_server_is_removed_and_counts_as_left(others: Others) -> None:
    others.status["c"] = 4
    others.silent.add("c")
    await others.live.clock.advance(9)
    assert not others.changes
    state = others.live.autopilot.state
    assert state is not None
    assert [server.reason for server in state.servers] == ["", "", "gossip says failed"]
    await others.live.clock.advance(6)
    assert others.changes == [("remove", "c"), ("left", "name-c")]


async def test_a_server_that_does_not_answer_is_unhealthy(others: Others) -> None:
    others.silent.add("b")
    await others.live.clock.advance(2)
    state = others.live.autopilot.state
    assert state is not None
    assert not state.healthy
    assert state.servers[1].reason == "it does not answer"


async def test_without_leadership_nothing_is_known(others: Others) -> None:
    class Follower:
        is_leader = False

    others.live.agent.log = Follower()  # type: ignore[assignment]
    await others.live.clock.advance(3)
    assert others.live.autopilot.state is None
    with pytest.raises(NoLeader):
        await others.live.autopilot.current()


async def test_a_server_alone_needs_no_cluster() -> None:
    live = InProcess()
    await live.start()
    keeper = AutopilotKeeper(live.agent)
    assert (await keeper.current()).voters == [NODE_ID]
    await live.stop()
