"""Beginning a cluster: what is promised to whom, and what happens when somebody does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.httpapi import make_agent

from meshagent.agent.bootstrap_keeper import BEGIN, LOOK_S, PROMISE, BootstrapKeeper
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.server_calls import encode
from meshagent.catalog.raft.configuration import Configuration, initial
from meshagent.catalog.rpc.hello import CLIENT, SERVER, Peer
from meshagent.errors import Conflict, Denied, MeshError, RemoteProtocolError, Unavailable

IDS = [f"{digit}0000000-0000-0000-0000-000000000000" for digit in "1234"]
THREE = initial({IDS[n]: f"10.0.0.{n}:8300" for n in range(3)})
OTHERS = initial({IDS[n]: f"10.0.0.{n}:8300" for n in (0, 1, 3)})


class Raft:
    def __init__(self) -> None:
        self.has_state = False
        self.incarnation = 1
        self.began: Configuration | None = None

    async def bootstrap(self, configuration: Configuration) -> None:
        if self.has_state:
            raise Conflict("this server has been part of a cluster already")
        self.has_state = True
        self.began = configuration


class World:
    """Server `own` of three that are all there, or as many as `present` says."""

    def __init__(self, own: int = 0, present: int = 3, fails: Callable[[str, str], MeshError | None] | None = None):
        self.agent = make_agent()
        self.agent.node_id = IDS[own]
        self.agent.config.bootstrap_expect = 3  # type: ignore[misc]
        self.raft = Raft()
        self.asked: list[tuple[str, str]] = []
        self.fails = fails or (lambda node_id, method: None)
        tags = {"role": "consul", "dc": "dc1", "port": "8300", "expect": "3"}
        members = [
            Member(name=f"s{n}", addr=f"10.0.0.{n}", port=8301, status=Status.ALIVE, tags={**tags, "id": IDS[n]})
            for n in range(present)
        ]
        self.agent.extras |= {"raft": self.raft, "members": SimpleNamespace(members=lambda: members)}
        self.keeper = BootstrapKeeper(self.agent, self.ask)

    async def ask(self, node_id: str, address: str, method: str, payload: bytes, timeout_s: float) -> bytes:
        self.asked.append((node_id, method))
        error = self.fails(node_id, method)
        if error is not None:
            raise error
        return encode(IDS.index(node_id) + 1) if method == PROMISE else b""

    async def call(self, method: str, configuration: Configuration, *, sender: int = 0, role: str = SERVER) -> Any:
        peer = Peer(IDS[sender], f"s{sender}", "dc1", "", role, 1, 1)
        answer: Any = self.keeper.methods()[method](peer, encode(configuration))
        return await answer


async def test_the_first_begins_when_all_have_promised_and_tells_them() -> None:
    world = World()
    await world.keeper.run()
    assert world.raft.began is not None
    assert world.raft.began.anonymous == THREE
    assert list(world.raft.began.incarnations.values()) == [1, 2, 3], "the data directories that promised"
    assert world.asked == [(IDS[1], PROMISE), (IDS[2], PROMISE), (IDS[1], BEGIN), (IDS[2], BEGIN)]


@pytest.mark.parametrize("error", [Conflict("this server belongs to a cluster already"), Unavailable("no answer")])
async def test_one_that_does_not_promise_holds_all_back(error: MeshError) -> None:
    answers = [error]
    world = World(fails=lambda node_id, method: answers.pop() if answers else None)
    task = asyncio.ensure_future(world.keeper.run())
    await asyncio.sleep(0.01)
    assert world.raft.began is None
    await world.agent.clock.advance(LOOK_S)  # type: ignore[attr-defined]
    await asyncio.wait_for(task, 5)
    assert world.raft.began is not None


async def test_one_that_is_not_told_in_the_end_does_not_matter() -> None:
    world = World(fails=lambda node_id, method: Unavailable("gone") if method == BEGIN else None)
    await world.keeper.run()
    assert world.raft.began is not None


async def test_the_others_wait_until_they_belong_to_a_cluster() -> None:
    world = World(own=1)
    task = asyncio.ensure_future(world.keeper.run())
    await world.agent.clock.advance(10 * LOOK_S)  # type: ignore[attr-defined]
    assert not task.done()
    assert not world.asked
    await world.call(PROMISE, THREE)
    await world.call(BEGIN, THREE)
    await world.agent.clock.advance(LOOK_S)  # type: ignore[attr-defined]
    await asyncio.wait_for(task, 5)
    assert world.raft.began == THREE


async def test_only_one_set_of_servers_is_promised() -> None:
    world = World(own=1)
    await world.call(PROMISE, THREE)
    with pytest.raises(Conflict, match="promised to begin with others"):
        await world.call(PROMISE, OTHERS, sender=3)
    with pytest.raises(Conflict):
        await world.call(BEGIN, OTHERS, sender=3)
    assert world.raft.began is None


async def test_what_is_refused() -> None:
    world = World(own=1)
    with pytest.raises(Denied):
        await world.call(PROMISE, THREE, role=CLIENT)
    with pytest.raises(RemoteProtocolError):
        await world.call(PROMISE, THREE, sender=3)  # not one of them itself
    with pytest.raises(Conflict, match="expects 3 servers"):
        await world.call(PROMISE, initial({IDS[0]: "a:1", IDS[1]: "b:1"}))
    peer = Peer(IDS[0], "s0", "dc1", "", SERVER, 1, 1)
    answer: Any = world.keeper.methods()[PROMISE](peer, b"\xff\x00")
    with pytest.raises(RemoteProtocolError):
        await answer
    world.raft.has_state = True
    with pytest.raises(Conflict, match="belongs to a cluster"):
        await world.call(PROMISE, THREE)
