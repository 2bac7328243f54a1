"""What runs only while a server leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from meshtest.httpapi import make_agent

from meshagent.agent.config import Config
from meshagent.agent.leader import REAP_STEP_S, TOMBSTONE_TTL_S
from meshagent.agent.leadership import RETRY_S, Leadership, init_cluster, reap_tombstones
from meshagent.catalog.commands import KVDelete, KVSet
from meshagent.errors import NoLeader


class Raft:
    def __init__(self) -> None:
        self.on_change: list[Callable[[], None]] = []
        self.term = 1
        self.is_ready = False
        self.leader_id: str | None = None
        self.leader = "10.0.0.2:8300"

    async def become(self, *, term: int, leader: str | None, ready: bool = False) -> None:
        self.term, self.leader_id, self.is_ready = term, leader, ready
        for listener in self.on_change:
            listener()
        await turns()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class World:
    def __init__(self) -> None:
        self.raft = Raft()
        self.agent = make_agent()
        self.agent.node_id = "me"
        self.done: list[str] = []
        self.refuse: list[Exception] = []
        raft: Any = self.raft
        self.leadership = Leadership(
            raft, self.agent, first=[("one", self.one), ("two", self.two)], duties=[("ever", self.ever)]
        )
        self.leadership.on_leader.append(lambda: self.done.append(f"leader {self.raft.leader_id}"))
        self.agent.tasks.start(self.leadership.run(), name="leadership")

    async def one(self) -> None:
        if self.refuse:
            raise self.refuse.pop()
        self.done.append("one")

    async def two(self) -> None:
        self.done.append("two")

    async def ever(self) -> None:
        self.done.append("ever")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.done.append("over")


async def test_a_reign_begins_with_its_first_steps_and_ends_with_its_term() -> None:
    world = World()
    await world.raft.become(term=2, leader="me", ready=True)
    assert world.done == ["leader me", "one", "two", "ever"]
    assert world.leadership.established
    world.done.clear()
    await world.raft.become(term=3, leader="other")
    assert not world.leadership.established
    assert world.done == ["over", "leader other"]
    await world.agent.tasks.cancel()


async def test_a_term_that_was_lost_and_won_between_two_looks_is_another_reign() -> None:
    """Timers of the sessions must run in full again: another leader may have renewed them."""
    world = World()
    await world.raft.become(term=2, leader="me", ready=True)
    world.done.clear()
    await world.raft.become(term=5, leader="me", ready=True)
    assert world.done == ["over", "one", "two", "ever"]
    await world.agent.tasks.cancel()


async def test_a_leader_that_has_not_applied_everything_waits() -> None:
    world = World()
    await world.raft.become(term=2, leader="me")
    assert world.done == ["leader me"]
    await world.agent.tasks.cancel()


async def test_a_first_step_that_fails_is_tried_again() -> None:
    world = World()
    world.refuse.append(NoLeader())
    await world.raft.become(term=2, leader="me", ready=True)
    assert world.done == ["leader me"]
    await world.agent.clock.advance(RETRY_S)  # type: ignore[attr-defined]
    assert world.done == ["leader me", "one", "two", "ever"]
    await world.agent.tasks.cancel()


async def test_reassert_begins_the_reign_anew() -> None:
    world = World()
    await world.raft.become(term=2, leader="me", ready=True)
    world.done.clear()
    world.leadership.reassert()
    await turns()
    assert world.done == ["over", "one", "two", "ever"]
    await world.agent.tasks.cancel()


async def test_the_end_of_the_agent_ends_the_duties() -> None:
    world = World()
    await world.raft.become(term=2, leader="me", ready=True)
    await world.agent.tasks.cancel()
    await turns()
    assert world.done[-1] == "over"


async def test_the_first_leader_makes_up_the_id_of_the_cluster_and_later_ones_keep_it() -> None:
    agent = make_agent()
    agent.config = Config()
    await init_cluster(agent)
    made = agent.store.cluster_id
    assert len(made) == 36
    await init_cluster(agent)
    assert agent.store.cluster_id == made


async def test_tombstones_are_reaped_while_it_leads() -> None:
    agent = make_agent()
    await agent.write(KVSet("a", b""))
    await agent.write(KVDelete("a"))
    agent.tasks.start(reap_tombstones(agent), name="tombstones")
    assert agent.store.has_tombstones(agent.store.index)
    await agent.clock.advance(TOMBSTONE_TTL_S + 3 * REAP_STEP_S)  # type: ignore[attr-defined]
    assert not agent.store.has_tombstones(agent.store.index)
    await agent.tasks.cancel()
