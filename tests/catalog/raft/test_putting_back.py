"""Restoring a snapshot on several servers: the old state everywhere or the new one everywhere, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshtest.sim.cluster import Cluster, Numbers, SimServer
from meshtest.sim.loop import run_sim

from meshagent.errors import Conflict, CorruptData, MeshError, NoLeader

SAVED = [*(b"%d" % number for number in range(1000, 1040)), b"digest 77"]


async def led(cluster: Cluster) -> SimServer:
    for _ in range(300):
        await asyncio.sleep(0.05)
        cluster.check()
        if cluster.leader is not None and cluster.leader.log.is_leader:
            return cluster.leader
    raise AssertionError("nobody leads")


async def running(size: int = 3) -> tuple[Cluster, SimServer]:
    cluster = Cluster(3, size, skew=0.0)
    for server in cluster.servers.values():
        await server.start()
    leader = await led(cluster)
    for number in range(10):
        await leader.log.propose(b"%d" % number)
    return cluster, leader


def is_new(machine: Numbers) -> bool:
    assert machine.places.keys() >= set(range(10)) or machine.places.keys() >= set(range(1000, 1040))
    return 1000 in machine.places


def story(main: Any) -> None:
    run_sim(main())


def test_all_servers_have_it_and_go_on() -> None:
    async def main() -> None:
        cluster, leader = await running()
        await leader.log.restore_snapshot(SAVED)
        assert leader.machine.count == 40
        assert await leader.log.propose(b"5000") == 41
        await asyncio.sleep(0.3)
        for server in cluster.servers.values():
            assert server.machine.digest == leader.machine.digest
        for server in list(cluster.servers.values()):
            server.crash()
        await asyncio.gather(*(server.start() for server in cluster.servers.values()))
        again = await led(cluster)
        assert again.machine.count == 41

    story(main)


def test_every_server_takes_a_snapshot_and_drops_the_log_behind_it() -> None:
    """Otherwise a restart would read the whole state out of the log."""

    async def main() -> None:
        cluster, leader = await running()
        await leader.log.restore_snapshot(SAVED)
        index = leader.log.applied_index
        await asyncio.sleep(1)
        for server in cluster.servers.values():
            assert server.log._journal.snapshot.index >= index
            if not server.log._journal._kept_bytes:  # type: ignore[attr-defined]
                closed = server.log._journal._segments._closed  # type: ignore[attr-defined]
                assert all(segment.highest > index for segment in closed)

    story(main)


def test_it_is_saved_and_put_back() -> None:
    async def main() -> None:
        _, leader = await running()
        snapshot, chunks = leader.log.save_snapshot()
        assert (snapshot.index, snapshot.term) == (leader.log.applied_index, leader.log.applied_term)
        await leader.log.propose(b"77")
        await leader.log.restore_snapshot(chunks)
        assert sorted(leader.machine.places) == list(range(10))

    story(main)


@pytest.mark.parametrize("at", range(0, 60, 3))
@pytest.mark.parametrize("who", ["leader", "follower"])
def test_a_crash_in_the_middle_leaves_old_or_new(at: int, who: str) -> None:
    """Mutation: the leader replaces its own state first: its server comes back with a state nobody else has."""

    async def main() -> None:
        cluster, leader = await running()
        target = leader if who == "leader" else next(each for each in cluster.servers.values() if each is not leader)
        target.disk.crash_at = target.disk.steps + at
        restoring = asyncio.ensure_future(leader.log.restore_snapshot(slowly()))
        done = await ended(restoring)
        if target.up:
            target.crash()
        await target.start()
        after = await led(cluster)
        await after.log.propose(b"6000")
        await asyncio.sleep(1)
        states = {is_new(server.machine) for server in cluster.servers.values()}
        assert len(states) == 1
        if done:
            assert states == {True}, "it was acknowledged"
        assert len({server.machine.digest for server in cluster.servers.values()}) == 1
        assert all(not server.log._state.staging.id for server in cluster.servers.values()), "nothing is left of it"
        await after.log.restore_snapshot(SAVED)
        assert is_new(after.machine)

    story(main)


async def ended(restoring: asyncio.Future[None]) -> bool:
    try:
        await asyncio.wait_for(restoring, 3)
    except (MeshError, TimeoutError):
        return False
    return True


async def slowly() -> AsyncIterator[bytes]:
    for chunk in SAVED:
        await asyncio.sleep(0.005)
        yield chunk


def test_a_leader_that_is_cut_off_gives_up_and_the_next_throws_it_away() -> None:
    async def main() -> None:
        cluster, leader = await running()

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in SAVED[:20]:
                yield chunk
            await asyncio.sleep(0.1)
            for other in cluster.servers:
                cluster.network.cut |= {(other, leader.node_id), (leader.node_id, other)}
            for chunk in SAVED[20:]:
                await asyncio.sleep(0.02)
                yield chunk

        with pytest.raises(NoLeader):
            await leader.log.restore_snapshot(chunks())
        after = await led(cluster)
        assert after is not leader
        await after.log.propose(b"6000")
        cluster.network.cut.clear()
        await asyncio.sleep(1)
        for server in cluster.servers.values():
            assert not is_new(server.machine)
            assert not server.log._state.staging.id

    story(main)


def test_who_joins_meanwhile_has_it_too() -> None:
    """What is on its way is part of the state that a newcomer gets."""

    async def main() -> None:
        cluster, leader = await running()
        for number in range(100, 400):
            await leader.log.propose(b"%d" % number)
        newcomer = cluster.add("n1")

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in SAVED[:20]:
                yield chunk
            await leader.log.snapshot()
            await newcomer.start()
            await leader.log.add_server("n1", "n1:8300")
            await asyncio.sleep(1)
            assert len(newcomer.log._state.staging.chunks) == 20
            for chunk in SAVED[20:]:
                yield chunk

        await leader.log.restore_snapshot(chunks())
        await asyncio.sleep(0.5)
        assert newcomer.machine.digest == leader.machine.digest
        assert newcomer.machine.count == 40

    story(main)


def test_what_is_damaged_changes_nothing() -> None:
    async def main() -> None:
        cluster, leader = await running()
        digest = leader.machine.digest
        with pytest.raises(CorruptData, match="cut short"):
            await leader.log.restore_snapshot(SAVED[:-1])
        await asyncio.sleep(0.3)
        assert {server.machine.digest for server in cluster.servers.values()} == {digest}
        with pytest.raises(CorruptData, match="the limit is"):
            await leader.log.restore_snapshot([bytes(33 << 20)])
        await asyncio.sleep(0.3)
        assert not leader.log._state.staging.id

    story(main)


def test_one_at_a_time_and_on_the_leader() -> None:
    async def main() -> None:
        cluster, leader = await running()
        first = asyncio.ensure_future(leader.log.restore_snapshot(slowly()))
        await asyncio.sleep(0.05)
        with pytest.raises(Conflict, match="being restored"):
            await leader.log.restore_snapshot(SAVED)
        await first
        follower = next(server for server in cluster.servers.values() if server is not leader)
        with pytest.raises(NoLeader):
            await follower.log.restore_snapshot(SAVED)

    story(main)


def test_who_gives_up_leaves_nothing() -> None:
    async def main() -> None:
        cluster, leader = await running()
        giving_up = asyncio.ensure_future(leader.log.restore_snapshot(slowly()))
        await asyncio.sleep(0.1)
        assert leader.log._state.staging.id
        giving_up.cancel()
        await asyncio.sleep(0.5)
        for server in cluster.servers.values():
            assert not server.log._state.staging.id
            assert not is_new(server.machine)

    story(main)
