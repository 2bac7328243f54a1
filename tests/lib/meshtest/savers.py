"""Servers that save and restore without a network: logs that only give and take a store's state, and the way between.

Used by the tests of snapshots. What may change here: further ways for a leader to be lost.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from meshagent.agent.core import Agent
from meshagent.agent.operator_calls import all_methods
from meshagent.agent.snapshots import save
from meshagent.agent.spool import Spools
from meshagent.catalog.commands import KVSet
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.rpc.hello import SERVER, Peer
from meshagent.errors import NoLeader
from meshtest.httpapi import Log, make_agent

__all__ = ["SERVER_PEER", "Calls", "Snapshots", "follower", "pieces", "saved", "server"]

SERVER_PEER = Peer("id", "n2", "dc1", "", SERVER, 1, 1)


class Snapshots:
    """A log that gives and takes a store's state."""

    def __init__(self, agent: Agent) -> None:
        self.store = agent.store
        self.restored = 0
        self.largest = 0

    def save_snapshot(self) -> tuple[SnapshotId, Iterator[bytes]]:
        return SnapshotId(9, 3), self.store.snapshot()

    async def restore_snapshot(self, chunks: AsyncIterable[bytes]) -> None:
        found = [chunk async for chunk in chunks]
        self.store.restore(found)
        self.restored += 1


class Calls:
    """The way to the leader's methods, without a network."""

    def __init__(self, leader: Agent) -> None:
        self.methods: Any = all_methods(leader)
        self.asked: list[str] = []
        self.broken = ""

    async def call(self, method: str, payload: bytes, timeout_s: float, *, again: bool = True) -> bytes:
        assert not again, method
        self.asked.append(method)
        if method == self.broken:
            raise NoLeader
        answer: bytes = await self.methods[method](SERVER_PEER, payload)
        return answer


def server(tmp_path: Path, *, keys: int = 0) -> Agent:
    agent = make_agent()
    agent.extras |= {"raft": Snapshots(agent), "spools": Spools(tmp_path, agent.clock)}
    rng = random.Random(1)
    for number in range(keys):
        agent.store.execute(KVSet(f"k{number:06}", rng.randbytes(100)))
    return agent


def follower(tmp_path: Path, leader: Agent) -> Agent:
    agent = server(tmp_path)
    log: Any = agent.log
    assert isinstance(log, Log)
    log.leading = False
    agent.extras["leader_calls"] = Calls(leader)
    return agent


async def pieces(data: bytes, step: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


async def saved(agent: Agent, **given: Any) -> bytes:
    return b"".join([piece async for piece in (await save(agent, **given)).pieces])
