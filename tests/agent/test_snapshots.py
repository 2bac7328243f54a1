"""Saving and restoring the state: on the leader, and on a server that asks it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from meshtest.savers import follower, pieces, saved, server

from meshagent.agent.snapshot_calls import SNAPSHOT_BEGIN, SNAPSHOT_READ, SNAPSHOT_RESTORE, SNAPSHOT_WRITE
from meshagent.agent.snapshots import restore, save
from meshagent.catalog.archive import ArchiveReader
from meshagent.catalog.commands import KVSet
from meshagent.clock import VirtualClock
from meshagent.errors import CorruptData, MeshError, NoLeader


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
