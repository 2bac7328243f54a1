"""What is sent is the state at the entry that is named with it; what is taken is only what is expected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from meshtest.logs import History

from meshagent.catalog.raft.installing import SnapshotSender
from meshagent.catalog.raft.messages import InstallSnapshot, SnapshotReply
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.standing import LEADER
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.catalog.raft.transport import Alone
from meshagent.clock import SystemClock, Tasks


@dataclass
class Leading:
    """The engine, as a sender sees it."""

    node_id: str = "s1"
    term: int = 3
    applied_index: int = 2
    applied_term: int = 3
    role: int = LEADER
    takes_commands: bool = True
    said: list[InstallSnapshot] = field(default_factory=list)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)

    def match_index(self, node_id: str) -> int:
        return 0

    def say(self, node_id: str, message: Any) -> None:
        self.said.append(message)

    def snapshot_delivered(self, node_id: str, index: int, epoch: int) -> None:
        assert (node_id, index) == ("s2", 2)
        self.delivered.set()


async def test_entries_applied_before_the_sender_runs_are_not_in_what_it_sends() -> None:
    """Mutation: the state is copied when the task first runs: the receiver applies some entries twice."""
    machine, engine, tasks = History(), Leading(), Tasks()
    machine.commands = [b"a", b"b"]
    sender = SnapshotSender(
        lambda: engine,  # type: ignore[arg-type,return-value]
        ReplicatedState(machine),
        Alone(),
        SystemClock(),
        tasks,
        RaftSettings(),
    )
    sender.begin("s2")
    machine.apply(b"c")
    engine.applied_index = 3
    assert sender.oldest_index == 2
    while not engine.said:
        await asyncio.sleep(0)
    (message,) = engine.said
    assert (message.index, message.last_term, message.done) == (2, 3, True)
    assert msgspec.msgpack.decode(message.data)[1:] == [b"a", b"b"]
    sender.on_reply(SnapshotReply("s2", 3, message.epoch, 2, 1, True))
    await asyncio.wait_for(engine.delivered.wait(), 30)
    assert sender.oldest_index is None
    await tasks.cancel()


async def test_a_state_that_arrives_while_leadership_is_handed_over_counts() -> None:
    """The hand-over may fail, and this server leads on in the same term. Mutation: such an arrival is forgotten: the
    follower counts as being fed for ever, and is not (seed 159 of the simulation)."""
    machine, engine, tasks = History(), Leading(), Tasks()
    sender = SnapshotSender(
        lambda: engine,  # type: ignore[arg-type,return-value]
        ReplicatedState(machine),
        Alone(),
        SystemClock(),
        tasks,
        RaftSettings(),
    )
    sender.begin("s2")
    while not engine.said:
        await asyncio.sleep(0)
    engine.takes_commands = False
    sender.on_reply(SnapshotReply("s2", 3, engine.said[0].epoch, 2, 1, True))
    await asyncio.wait_for(engine.delivered.wait(), 30)
    await tasks.cancel()
