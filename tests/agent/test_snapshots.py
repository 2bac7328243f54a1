"""Saving and restoring the state: on the leader, and on a server that asks it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from meshtest.httpapi import Log, make_agent

from meshagent.agent.core import Agent
from meshagent.agent.operator_calls import all_methods
from meshagent.agent.snapshots import (
    SNAPSHOT_BEGIN,
    SNAPSHOT_OPEN,
    SNAPSHOT_READ,
    SNAPSHOT_RESTORE,
    SNAPSHOT_WRITE,
    restore,
    save,
)
from meshagent.agent.spool import Spools
from meshagent.catalog.archive import ArchiveReader
from meshagent.catalog.commands import KVSet
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.rpc.hello import CLIENT, SERVER, Peer
from meshagent.clock import VirtualClock
from meshagent.errors import BadRequest, CorruptData, Denied, MeshError, NoLeader, NotFound, RemoteProtocolError

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


async def test_a_leader_gives_its_state(tmp_path: Path) -> None:
    agent = server(tmp_path, keys=3000)
    found = await save(agent)
    assert (found.index, found.last_contact_ms) == (3001, 0)
    reader = ArchiveReader()
    chunks = [chunk for piece in [piece async for piece in found.pieces] for chunk in reader.feed(piece)]
    reader.finish()
    assert reader.meta is not None
    assert (reader.meta.index, reader.meta.term, reader.meta.datacenter) == (3001, 3, "dc1")
    other = server(tmp_path)
    other.store.restore(chunks)
    assert other.store.digest() == agent.store.digest()


async def test_what_is_written_while_it_is_saved_is_not_in_it(tmp_path: Path) -> None:
    agent = server(tmp_path, keys=2000)
    before = agent.store.digest()
    found = await save(agent)
    agent.store.execute(KVSet("k000000", b"later"))
    data = b"".join([piece async for piece in found.pieces])
    other = server(tmp_path)
    await restore(other, pieces(data))
    assert other.store.digest() == before


async def test_a_restore_replaces_the_state(tmp_path: Path) -> None:
    agent, other = server(tmp_path, keys=3000), server(tmp_path, keys=5)
    data = await saved(agent)
    await restore(other, pieces(data, 17_000), len(data))
    assert other.store.digest() == agent.store.digest()


async def test_another_server_fetches_the_leaders(tmp_path: Path) -> None:
    leader = server(tmp_path, keys=20_000)
    asking = follower(tmp_path, leader)
    data = await saved(asking)
    other = server(tmp_path)
    await restore(other, pieces(data))
    assert other.store.digest() == leader.store.digest()
    assert asking.extras["leader_calls"].asked.count(SNAPSHOT_READ) >= 2
    await asking.tasks.cancel()


async def test_a_stale_one_is_its_own(tmp_path: Path) -> None:
    asking = follower(tmp_path, server(tmp_path, keys=5))
    log: Any = asking.log
    log.contact_ms = 40
    found = await save(asking, stale=True)
    assert (found.index, found.last_contact_ms) == (1, 40)
    assert asking.extras["leader_calls"].asked == []


async def test_another_server_sends_it_to_the_leader(tmp_path: Path) -> None:
    leader = server(tmp_path, keys=1)
    asking = follower(tmp_path, leader)
    source = server(tmp_path, keys=20_000)
    data = await saved(source)
    await restore(asking, pieces(data), len(data))
    assert leader.store.digest() == source.store.digest()
    asked = asking.extras["leader_calls"].asked
    assert (asked[0], asked[-1]) == (SNAPSHOT_BEGIN, SNAPSHOT_RESTORE)
    assert asked.count(SNAPSHOT_WRITE) >= 2


@pytest.mark.parametrize("through", ["leader", "follower"])
@pytest.mark.parametrize("damage", ["empty", "foreign", "cut", "flipped", "longer"])
async def test_what_is_not_whole_changes_nothing(tmp_path: Path, through: str, damage: str) -> None:
    leader = server(tmp_path, keys=7)
    asked = leader if through == "leader" else follower(tmp_path, leader)
    data = await saved(server(tmp_path, keys=2000))
    bad = {
        "empty": b"",
        "foreign": b"not an archive",
        "cut": data[:-20],
        "flipped": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "longer": data + b"x",
    }[damage]
    before = leader.store.digest()
    with pytest.raises(CorruptData):
        await restore(asked, pieces(bad))
    assert leader.store.digest() == before
    assert leader.extras["raft"].restored == 0


async def test_a_restore_is_tried_again_at_the_next_leader(tmp_path: Path) -> None:
    leader, source = server(tmp_path, keys=7), server(tmp_path, keys=2000)
    asking = follower(tmp_path, leader)
    calls, clock = asking.extras["leader_calls"], asking.clock
    assert isinstance(clock, VirtualClock)
    calls.broken = SNAPSHOT_RESTORE
    restoring = asking.tasks.start(restore(asking, pieces(await saved(source))), name="restore")
    while calls.asked.count(SNAPSHOT_RESTORE) < 2:
        await clock.advance(0.1)
        await asyncio.sleep(0.001)
    calls.broken = ""
    while not restoring.done():
        await clock.advance(0.1)
        await asyncio.sleep(0.001)
    await restoring
    assert leader.store.digest() == source.store.digest()


async def test_without_a_leader_it_is_given_up(tmp_path: Path) -> None:
    leader = server(tmp_path, keys=7)
    asking = follower(tmp_path, leader)
    asking.extras["leader_calls"].broken = SNAPSHOT_WRITE
    clock = asking.clock
    assert isinstance(clock, VirtualClock)
    before = leader.store.digest()
    restoring = asking.tasks.start(
        _failing(restore(asking, pieces(await saved(server(tmp_path, keys=2000))))), name="restore"
    )
    while not restoring.done():
        await clock.advance(1)
        await asyncio.sleep(0.001)
    assert isinstance(restoring.result(), NoLeader)
    assert leader.store.digest() == before


async def _failing(work: Any) -> BaseException | None:
    try:
        await work
    except MeshError as error:
        return error
    return None


async def test_methods_refuse_what_they_do_not_expect(tmp_path: Path) -> None:
    leader = server(tmp_path, keys=7)
    methods: Any = all_methods(leader)
    encode = msgspec.msgpack.encode
    with pytest.raises(NotFound):
        await methods[SNAPSHOT_READ](SERVER_PEER, encode(("guess", 0)))
    with pytest.raises(RemoteProtocolError):
        await methods[SNAPSHOT_READ](SERVER_PEER, b"\xc1")
    ticket = msgspec.msgpack.decode(await methods[SNAPSHOT_BEGIN](SERVER_PEER, encode(0)))
    with pytest.raises(BadRequest, match="for offset 5 came at 0"):
        await methods[SNAPSHOT_WRITE](SERVER_PEER, encode((ticket, 5, b"x")))
    leader.log.leading = False  # type: ignore[attr-defined]
    for method in (SNAPSHOT_OPEN, SNAPSHOT_BEGIN, SNAPSHOT_RESTORE):
        with pytest.raises(MeshError):
            await methods[method](SERVER_PEER, encode(ticket))


async def test_a_client_agent_gets_no_state_past_its_users_tokens(tmp_path: Path) -> None:
    client = Peer("id", "c1", "dc1", "", CLIENT, 1, 1)
    for method in all_methods(server(tmp_path, keys=7)).values():
        with pytest.raises(Denied, match="only servers ask this"):
            await method(client, b"")  # type: ignore[misc]
