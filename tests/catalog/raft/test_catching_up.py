"""A server that is far behind gets the state itself, while the leader serves; members come and go one at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.disk import SimDisk
from meshtest.sim.cluster import Cluster, SimServer
from meshtest.sim.loop import run_sim

from meshagent.errors import Conflict, MeshError, NoLeader, Unavailable


async def running(size: int = 3) -> Cluster:
    cluster = Cluster(1, size, skew=0.0)
    for server in cluster.servers.values():
        await server.start()
    while cluster.leader is None or not cluster.leader.log.is_leader:
        await asyncio.sleep(0.05)
    return cluster


async def write(cluster: Cluster, begin: int, end: int) -> SimServer:
    leader = cluster.leader
    assert leader is not None
    for number in range(begin, end):
        await leader.log.propose(b"%d" % number, b"id-%d" % number)
    return leader


def story(main: Any) -> None:
    run_sim(main())


def test_who_was_away_for_long_takes_the_state_and_serves_it() -> None:
    async def main() -> None:
        cluster = await running()
        away = next(server for server in cluster.servers.values() if server is not cluster.leader)
        away.crash()
        leader = await write(cluster, 0, 400)
        assert leader.log._journal[0][1] > 100, "the log does not reach back that far"
        await away.start()
        writing = asyncio.ensure_future(write(cluster, 400, 450))
        await asyncio.sleep(2)
        assert (await writing) is leader
        await asyncio.sleep(0.2)
        assert away.machine.digest == leader.machine.digest
        assert away.log._journal.snapshot.index > 100
        away.crash()
        await away.start()
        await asyncio.sleep(1)
        assert away.machine.digest == leader.machine.digest, "and it is on its disk"
        again = await leader.log.propose(b"3", b"id-3")
        assert again == 4, "the ids came along"

    story(main)


def test_a_server_joins_without_a_vote_catches_up_and_is_promoted() -> None:
    async def main() -> None:
        cluster = await running(1)
        leader = await write(cluster, 0, 300)
        joiner = cluster.add("n1")
        await joiner.start()
        with pytest.raises(Conflict, match="without a vote first"):
            await leader.log.add_server("n1", "n1:8300", voter=True)
        await leader.log.add_server("n1", "n1:8300")
        with pytest.raises(Unavailable, match="not caught up"):
            await leader.log.add_server("n1", "n1:8300", voter=True)
        await asyncio.sleep(1)
        assert joiner.machine.digest == leader.machine.digest
        assert leader.log._engine.voters == {"s1"}
        await leader.log.add_server("n1", "n1:8300", voter=True)
        assert leader.log._engine.voters == {"s1", "n1"}
        await leader.log.remove_server("s1")
        await asyncio.sleep(2)
        assert joiner.log.is_leader, "the leader removed itself"
        with pytest.raises(Conflict, match="the only one that votes"):
            await joiner.log.remove_server("n1")

    story(main)


def test_one_change_at_a_time() -> None:
    """Mutation: `Engine.change` checks nothing."""

    async def main() -> None:
        cluster = await running()
        leader = cluster.leader
        assert leader is not None
        for name in cluster.servers:
            if name != leader.node_id:
                cluster.network.cut.add((name, leader.node_id))
        first = asyncio.ensure_future(leader.log.add_server("n1", "n1:8300"))
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="another change"):
            await leader.log.add_server("n2", "n2:8300")
        with pytest.raises(NoLeader, match="leadership lost"):
            await first

    story(main)


def test_leadership_is_handed_over_in_a_moment() -> None:
    async def main() -> None:
        cluster = await running()
        leader = await write(cluster, 0, 10)
        other = next(name for name in cluster.servers if name != leader.node_id)
        leader.log.transfer_leadership(other)
        await asyncio.sleep(0.1)
        assert cluster.servers[other].log.is_leader
        with pytest.raises(MeshError):
            leader.log.transfer_leadership(other)

    story(main)


def test_a_consistent_read_at_a_leader_that_was_cut_off_gets_no_answer() -> None:
    """Mutation: `RaftLog.barrier` returns at once."""

    async def main() -> None:
        cluster = await running()
        leader = cluster.leader
        assert leader is not None
        waiting = [asyncio.ensure_future(leader.log.barrier()) for _ in range(50)]
        sent = cluster.network.sent
        await asyncio.gather(*waiting)
        assert cluster.network.sent - sent <= 8, "all share one round"
        cluster.network.cut |= {(name, leader.node_id) for name in cluster.servers}
        with pytest.raises(NoLeader):
            await leader.log.barrier()

    story(main)


def test_who_was_away_for_less_gets_the_log_from_the_leaders_disk() -> None:
    async def main() -> None:
        cluster = await running()
        away = next(server for server in cluster.servers.values() if server is not cluster.leader)
        leader = cluster.leader
        assert leader is not None
        leader.log._journal._kept_bytes = 1 << 20  # type: ignore[attr-defined]
        sent: list[str] = []
        leader.log._catching_up.sender.begin = sent.append  # type: ignore[method-assign]
        away.crash()
        await write(cluster, 0, 300)
        first = leader.log._journal[0][1]
        await away.start()
        assert away.log.last_index < first, "it needs what is no more in memory"
        await asyncio.sleep(2)
        assert away.machine.digest == leader.machine.digest
        assert sent == []

    story(main)


def test_who_lost_its_disk_is_given_everything_again_by_the_same_leader() -> None:
    """Mutation: what it acknowledged on an earlier connection counts: it is never sent what it lost, and entries are
    committed by copies that are gone."""

    async def main() -> None:
        cluster = await running()
        leader = await write(cluster, 0, 20)
        lost = next(server for server in cluster.servers.values() if server is not leader)
        lost.crash()
        lost.disk = SimDisk()
        await asyncio.sleep(0.1)  # what it said arrives
        lost.said_term, lost.joins, lost.peers = 0, True, {}
        await lost.start()
        leader.port.epochs[lost.node_id] += 1  # the old connection is gone with the process
        await leader.log.propose(b"100")
        await asyncio.sleep(1)
        assert lost.machine.digest == leader.machine.digest
        assert leader.log.match_index(lost.node_id) == leader.log.last_index

    story(main)
