"""A question that only the leader can answer, asked on any server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.leader_calls import LeaderCalls
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.clock import VirtualClock
from meshagent.errors import Conflict, MeshError, NoLeader, NotFound, Timeout, Unavailable


class Link:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[bytes | MeshError] = []

    def call(self, method: str, payload: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        self.asked.append(method)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0)
        if isinstance(answer, MeshError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future


class Log:
    leader_id: str | None = "other"


class World:
    def __init__(self) -> None:
        self.log, self.link, self.clock = Log(), Link(), VirtualClock()
        self.methods: dict[str, Any] = {}
        log: Any = self.log
        link: Any = self.link
        self.calls = LeaderCalls(
            log,
            {"other": link}.get,
            self.methods,
            identity=lambda: Identity("me", "me", "dc1"),
            clock=self.clock,
            settings=RpcSettings(hold_timeout_s=1.0, client_timeout_s=0.01),
        )

    async def ask(self, **options: Any) -> bytes:
        asking = asyncio.ensure_future(self.calls.call("method", b"", **options))
        for _ in range(60):
            await self.clock.advance(0.05)
            if asking.done():
                break
        return await asking


async def test_the_leader_is_asked() -> None:
    world = World()
    world.link.answers = [b"yes"]
    assert await world.ask() == b"yes"


async def test_a_leader_answers_itself() -> None:
    world = World()
    world.log.leader_id = "me"

    async def handler(peer: Any, payload: bytes) -> bytes:
        return f"for {peer.node_id}".encode()

    world.methods["method"] = handler
    assert await world.ask() == b"for me"
    world.methods.clear()
    with pytest.raises(NotFound):
        await world.ask()

    async def hangs(peer: Any, payload: bytes) -> bytes:
        await asyncio.get_running_loop().create_future()
        return b""

    world.methods["method"] = hangs
    with pytest.raises(Timeout):
        await world.calls._ask(None, "method", b"", 0.001)


async def test_it_waits_for_a_leader_and_asks_the_next_one() -> None:
    world = World()
    world.log.leader_id = None
    asking = asyncio.ensure_future(world.calls.call("method"))
    await world.clock.advance(0.5)
    world.log.leader_id = "other"
    world.link.answers = [NoLeader(), Unavailable("lost"), b"yes"]
    await world.clock.advance(0.3)
    assert await asking == b"yes"


async def test_not_for_ever() -> None:
    world = World()
    world.log.leader_id = None
    with pytest.raises(NoLeader, match="No cluster leader"):
        await world.ask()


async def test_a_refusal_is_the_answer() -> None:
    world = World()
    world.link.answers = [Conflict("no")]
    with pytest.raises(Conflict, match="no"):
        await world.ask()


async def test_what_may_be_asked_once_only_is_not_asked_again_when_its_answer_is_lost() -> None:
    world = World()
    world.link.answers = [NoLeader(), Unavailable("lost"), b"twice"]
    with pytest.raises(Unavailable):
        await world.ask(again=False)
    assert len(world.link.asked) == 2
