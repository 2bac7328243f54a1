"""The leader's reconcile carries its plans out: rows at once, servers one at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from meshtest.httpapi import make_agent

from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.gossip.pools import MemberEvent
from meshagent.agent.reconcile_keeper import INTERVAL_S, RETRY_S, ReconcileKeeper
from meshagent.catalog.raft.configuration import Server
from meshagent.errors import Unavailable

IDS = {f"s{n}": f"{n}0000000-0000-0000-0000-000000000000" for n in (1, 2, 3)}


def member(name: str, status: Status = Status.ALIVE) -> Member:
    tags = {"role": "consul", "dc": "dc1", "port": "8300", "id": IDS[name], "build": "1.20.1:"}
    return Member(name=name, addr=f"10.0.0.{name[1]}", port=8301, status=status, tags=tags)


class Raft:
    def __init__(self, agent: Any) -> None:
        self.servers: tuple[Server, ...] = (Server(IDS["s1"], "10.0.0.1:8300", True),)
        self.refuse = 0
        self._agent = agent

    def propose(self, command: bytes) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._agent.log.propose(command)
        return future

    async def add_server(self, node_id: str, address: str, *, voter: bool = False) -> None:
        if self.refuse:
            self.refuse -= 1
            raise Unavailable("another change of the servers is not committed yet: try again")
        self.servers = (*(one for one in self.servers if one.node_id != node_id), Server(node_id, address, voter))

    async def remove_server(self, node_id: str) -> None:
        self.servers = tuple(server for server in self.servers if server.node_id != node_id)


class World:
    def __init__(self, *members: Member) -> None:
        self.members = list(members)
        self.agent = make_agent()
        self.agent.node_name = "s1"
        self.agent.config.reconnect_timeout = 72 * 3600.0  # type: ignore[misc]
        self.raft = Raft(self.agent)
        self.agent.extras |= {"raft": self.raft, "members": SimpleNamespace(members=lambda: self.members)}
        self.keeper = ReconcileKeeper(self.agent)
        self.agent.tasks.start(self.keeper.run(), name="reconcile")

    async def pass_time(self, seconds: float) -> None:
        await self.agent.clock.advance(seconds)  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)
        await self.agent.clock.advance(0)  # type: ignore[attr-defined]

    @property
    def nodes(self) -> set[str]:
        return set(self.agent.store.registrations.nodes)

    @property
    def addresses(self) -> list[str]:
        return sorted(server.address for server in self.raft.servers)


async def test_members_become_rows_and_servers_one_after_the_other() -> None:
    world = World(member("s1"), member("s2"), member("s3"))
    await world.pass_time(0)
    assert world.nodes == {"s1", "s2", "s3"}
    assert world.addresses == ["10.0.0.1:8300", "10.0.0.2:8300", "10.0.0.3:8300"]
    await world.agent.tasks.cancel()


async def test_events_wake_it() -> None:
    world = World(member("s1"))
    await world.pass_time(0)
    world.members.append(member("s2"))
    world.keeper.on_members(MemberEvent("member-join", (member("s2"),), True))
    await world.pass_time(0)
    assert world.nodes == {"s1"}  # that was the wide pool
    world.keeper.on_members(MemberEvent("member-join", (member("s2"),), False))
    await world.pass_time(0)
    assert world.nodes == {"s1", "s2"}
    world.members.pop()
    world.keeper.on_members(MemberEvent("member-reap", (member("s2"),), False))
    await world.pass_time(0)
    assert world.nodes == {"s1"}
    await world.agent.tasks.cancel()


async def test_it_looks_by_itself_too() -> None:
    world = World(member("s1"))
    await world.pass_time(0)
    world.members.append(member("s2"))
    await world.pass_time(INTERVAL_S)
    assert world.nodes == {"s1", "s2"}
    await world.agent.tasks.cancel()


async def test_a_change_that_cannot_be_made_yet_is_tried_again() -> None:
    world = World(member("s1"), member("s2"))
    world.raft.refuse = 2
    await world.pass_time(0)
    assert world.addresses == ["10.0.0.1:8300"]
    await world.pass_time(RETRY_S)
    await world.pass_time(RETRY_S)
    assert world.addresses == ["10.0.0.1:8300", "10.0.0.2:8300"]
    await world.agent.tasks.cancel()


async def test_one_row_that_is_refused_does_not_keep_the_others_back() -> None:
    """A name that belongs to another node that lives."""
    world = World(member("s1"))
    await world.pass_time(0)
    odd = Member(name="s1", addr="10.0.9.9", port=8301, tags={"dc": "dc1", "id": IDS["s3"], "role": "node"})
    world.members = [odd, member("s2")]
    world.keeper.on_members(MemberEvent("member-join", (odd,), False))
    await world.pass_time(0)
    assert "s2" in world.nodes
    await world.agent.tasks.cancel()


async def test_it_looks_again_when_somebody_is_not_believed_yet() -> None:
    world = World(member("s1"), member("s2"))
    await world.pass_time(0)
    for _ in range(3):
        for status in (Status.FAILED, Status.ALIVE):
            world.members[1] = member("s2", status)
            world.keeper.on_members(MemberEvent("member-update", (world.members[1],), wan=False))
            await world.pass_time(1)
    check = lambda: world.agent.store.registrations.checks["s2", "serfhealth"].status  # noqa: E731
    assert check() == "critical"
    await world.pass_time(12)
    assert check() == "passing"
    await world.agent.tasks.cancel()
