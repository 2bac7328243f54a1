"""How a cluster begins, how it is recovered by hand, and how its servers end. On several servers."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from meshtest.engines import Wire
from meshtest.sim.cluster import SETTINGS, Cluster, Numbers, SimServer
from meshtest.sim.loop import run_sim

from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.raft.configuration import Server as Member
from meshagent.catalog.raft.opening import open_raft_log
from meshagent.catalog.raft.peers_file import encode_peers
from meshagent.clock import VirtualClock
from meshagent.errors import ConfigError, Conflict, NoLeader, Unavailable

NAMES = ("s1", "s2", "s3")
ADDRESSES = {name: f"{name}:8300" for name in NAMES}


def story(main: Any) -> None:
    run_sim(main())


async def joining(*names: str) -> Cluster:
    """Servers that wait for a cluster."""
    cluster = Cluster(1, 0, skew=0.0)
    for name in names:
        await cluster.add(name).start()
    return cluster


async def led(cluster: Cluster) -> SimServer:
    for _ in range(200):
        await asyncio.sleep(0.05)
        cluster.check()
        if cluster.leader is not None and cluster.leader.log.is_leader:
            return cluster.leader
    raise AssertionError("nobody leads")


async def running() -> Cluster:
    cluster = Cluster(1, 3, skew=0.0)
    for server in cluster.servers.values():
        await server.start()
    await led(cluster)
    return cluster


class TestBootstrap:
    def test_one_begins_and_the_others_learn_it_from_the_log(self) -> None:
        async def main() -> None:
            cluster = await joining(*NAMES)
            await asyncio.sleep(3)
            assert cluster.leader is None, "nobody leads before there is a cluster"
            await cluster.servers["s2"].log.bootstrap(ADDRESSES)
            leader = await led(cluster)
            assert leader.node_id == "s2"
            assert await leader.log.propose(b"1") == 1
            await asyncio.sleep(0.2)
            for server in cluster.servers.values():
                assert [each.node_id for each in server.log.servers if each.voter] == list(NAMES)
                assert server.machine.count == 1
            leader.crash()
            assert (await led(cluster)).node_id != "s2", "any of them can lead now"

        story(main)

    def test_all_may_begin_when_they_name_the_same(self) -> None:
        async def main() -> None:
            cluster = await joining(*NAMES)
            await asyncio.gather(*(server.log.bootstrap(ADDRESSES) for server in cluster.servers.values()))
            leader = await led(cluster)
            await leader.log.propose(b"1")
            await asyncio.sleep(0.2)
            assert {server.machine.digest for server in cluster.servers.values()} == {leader.machine.digest}

        story(main)

    @pytest.mark.parametrize("at", range(12))
    def test_it_is_on_disk_before_anything_is_said(self, at: int) -> None:
        """Mutation: `bootstrap` does not wait for `keep_members`: a server asks for votes and comes back knowing
        nothing of the cluster."""

        async def main() -> None:
            cluster = await joining(*NAMES)
            server = cluster.servers["s1"]
            server.disk.crash_at = server.disk.steps + at
            beginning = asyncio.ensure_future(server.log.bootstrap(ADDRESSES))
            said = cluster.network.sent
            await asyncio.sleep(2)
            begun, heard = beginning.done(), cluster.network.sent > said
            beginning.cancel()
            if not server.up:
                await server.start()
            if begun or heard:
                assert len(server.log.servers) == 3
            elif not server.log.servers:  # the last write before a death may be there or not
                await server.log.bootstrap(ADDRESSES)
            await led(cluster)

        story(main)

    def test_who_belongs_to_a_cluster_refuses(self) -> None:
        async def main() -> None:
            cluster = await joining(*NAMES)
            await cluster.servers["s1"].log.bootstrap(ADDRESSES)
            await led(cluster)
            await asyncio.sleep(0.2)
            for server in cluster.servers.values():
                with pytest.raises(Conflict, match="has been part of a cluster already"):
                    await server.log.bootstrap(ADDRESSES)
            stranger = await joining("s9")
            for wrong in (ADDRESSES, {"s9": "elsewhere:1"}, {}):
                with pytest.raises(Conflict, match="server s9 at s9:8300 must be one"):
                    await stranger.servers["s9"].log.bootstrap(wrong)

        story(main)

    def test_a_disk_that_is_full_begins_nothing(self) -> None:
        async def main() -> None:
            cluster = await joining(*NAMES)
            server = cluster.servers["s1"]
            server.disk.free_bytes = 10
            with pytest.raises(Unavailable, match="could not be written"):
                await server.log.bootstrap(ADDRESSES)
            await asyncio.sleep(2)
            assert cluster.leader is None
            server.disk.free_bytes = None
            await server.log.bootstrap(ADDRESSES)
            await led(cluster)

        story(main)

    def test_one_alone_leads_at_once(self) -> None:
        async def main() -> None:
            cluster = await joining("s1")
            server = cluster.servers["s1"]
            await server.log.bootstrap({"s1": "s1:8300"})
            assert (await led(cluster)) is server
            assert await server.log.propose(b"1") == 1

        story(main)


def put_peers(server: SimServer, *names: str, voter: bool = True) -> None:
    file = server.disk.create("peers.json")
    data = encode_peers(Configuration(tuple(Member(name, f"{name}:8300", voter) for name in names)))
    file.write(0, data)
    file.sync()
    file.close()
    server.disk.sync_names()


class TestPeersFile:
    """One of three is left, for good."""

    async def left(self, writes: int = 5) -> tuple[Cluster, SimServer]:
        cluster = await running()
        leader = cluster.leader
        assert leader is not None
        for number in range(writes):
            await leader.log.propose(b"%d" % number, b"id-%d" % number)
        await asyncio.sleep(0.3)
        for server in cluster.servers.values():
            server.crash()
        return cluster, next(server for server in cluster.servers.values() if server is not leader)

    @pytest.mark.parametrize("writes", [5, 300])
    def test_what_is_left_goes_on_alone(self, writes: int) -> None:
        async def main() -> None:
            cluster, survivor = await self.left(writes)
            put_peers(survivor, survivor.node_id)
            await survivor.start()
            assert "peers.json" not in survivor.disk.names()
            assert (await led(cluster)) is survivor
            assert survivor.machine.count == writes
            assert await survivor.log.propose(b"777") == writes + 1
            assert [server.node_id for server in survivor.log.servers] == [survivor.node_id]
            survivor.crash()
            await survivor.start()
            assert (await led(cluster)) is survivor, "it stays so"
            newcomer = cluster.add("n1")
            await newcomer.start()
            await survivor.log.add_server("n1", "n1:8300")
            await asyncio.sleep(1)
            assert newcomer.machine.digest == survivor.machine.digest
            assert [server.node_id for server in newcomer.log.servers] == ["n1", survivor.node_id]

        story(main)

    def test_two_that_have_different_logs_agree_on_one(self) -> None:
        """Mutation: the configuration is appended to each log: two entries of one index and term then differ."""

        async def main() -> None:
            cluster = await running()
            leader = cluster.leader
            assert leader is not None
            behind, gone = (server for server in cluster.servers.values() if server is not leader)
            behind.crash()
            for number in range(20):
                await leader.log.propose(b"%d" % number)
            gone.crash()
            leader.log.propose(b"99").add_done_callback(lambda future: future.exception())
            await asyncio.sleep(0.05)
            leader.crash()
            for server in (leader, behind):
                put_peers(server, leader.node_id, behind.node_id)
            cluster.seen_in.clear()
            await asyncio.gather(leader.start(), behind.start())
            first = await led(cluster)
            assert first.machine.count >= 20
            await first.log.propose(b"100")
            await asyncio.sleep(0.3)
            assert leader.machine.digest == behind.machine.digest
            assert leader.log.servers == behind.log.servers
            assert len(leader.log.servers) == 2

        story(main)

    @pytest.mark.parametrize("at", range(14))
    def test_a_crash_on_the_way_takes_it_again(self, at: int) -> None:
        async def main() -> None:
            cluster, survivor = await self.left()
            put_peers(survivor, survivor.node_id)
            survivor.disk.crash_at = survivor.disk.steps + at
            starting = asyncio.ensure_future(survivor.start())
            await asyncio.sleep(1)
            starting.cancel()
            survivor.disk.crash_at = None
            if not survivor.up:
                await survivor.start()
            assert (await led(cluster)) is survivor
            assert survivor.machine.count == 5

        story(main)

    def test_a_server_without_a_past_refuses_it(self) -> None:
        async def main() -> None:
            cluster = Cluster(1, 0)
            server = cluster.add("s1")
            put_peers(server, "s1")
            with pytest.raises(ConfigError, match="no state to recover"):
                await server.start()

        story(main)

    def test_a_bad_file_starts_nothing_and_stays(self) -> None:
        async def main() -> None:
            _, survivor = await self.left()
            put_peers(survivor, survivor.node_id, voter=False)
            with pytest.raises(ConfigError, match=r"/sim/raft/peers.json: no server in it votes"):
                await survivor.start()
            assert "peers.json" in survivor.disk.names()

        story(main)


class TestStop:
    def test_a_leader_without_a_quorum_ends(self) -> None:
        async def main() -> None:
            cluster = await running()
            leader = cluster.leader
            assert leader is not None
            for other in cluster.servers.values():
                if other is not leader:
                    other.crash()
            writing = leader.log.propose(b"1")
            await asyncio.wait_for(leader.log.stop(), 5)
            with pytest.raises((NoLeader, Unavailable)):
                await writing
            leader.up = False

        story(main)

    def test_one_whose_disk_hangs_ends(self) -> None:
        async def main() -> None:
            cluster = await joining("s1")
            server = cluster.servers["s1"]
            await server.log.bootstrap({"s1": "s1:8300"})
            await led(cluster)
            server.disk_latency_s = (4.0, 4.0)
            writing = server.log.propose(b"1")
            await asyncio.wait_for(server.log.stop(), 10)
            with pytest.raises(Unavailable):
                await writing
            server.up = False

        story(main)


class TestWaitApplied:
    def test_a_follower_tells_when_it_has_come_so_far(self) -> None:
        async def main() -> None:
            cluster = await running()
            leader = cluster.leader
            assert leader is not None
            follower = next(server for server in cluster.servers.values() if server is not leader)
            await leader.log.propose(b"1")
            index = leader.log.applied_index
            await asyncio.wait_for(follower.log.wait_applied(index), 1)
            assert follower.log.applied_index >= index
            assert follower.machine.count == 1
            waiting = asyncio.ensure_future(follower.log.wait_applied(index + 1))
            await asyncio.sleep(SETTINGS.heartbeat_s * 3)
            assert not waiting.done()
            await leader.log.propose(b"2")
            await asyncio.wait_for(waiting, 1)

        story(main)

    def test_who_stops_says_so(self) -> None:
        async def main() -> None:
            cluster = await running()
            server = next(iter(cluster.servers.values()))
            waiting = asyncio.ensure_future(server.log.wait_applied(10**6))
            await asyncio.sleep(0)
            await server.log.stop()
            server.up = False
            with pytest.raises(Unavailable):
                await waiting

        story(main)


class TestRemoved:
    def test_it_is_told_and_disturbs_nobody(self) -> None:
        """Mutation: the leader does not say so: the server asks for votes for ever."""

        async def main() -> None:
            cluster = await running()
            leader = cluster.leader
            assert leader is not None
            gone = next(server for server in cluster.servers.values() if server is not leader)
            await leader.log.remove_server(gone.node_id)
            term = leader.log._engine.term
            await asyncio.sleep(3)
            assert not gone.log._engine.may_lead
            asked = gone.log._engine.timeouts
            await asyncio.sleep(5)
            assert gone.log._engine.timeouts == asked
            assert (cluster.leader, leader.log._engine.term) == (leader, term)
            await leader.log.add_server(gone.node_id, f"{gone.node_id}:8300")
            await asyncio.sleep(1)
            await leader.log.add_server(gone.node_id, f"{gone.node_id}:8300", voter=True)
            await asyncio.sleep(0.3)
            assert gone.log._engine.may_lead, "it belongs to it again"

        story(main)


async def test_a_server_without_a_disk_stays_alone() -> None:
    log = open_raft_log(
        Numbers(), None, node_id="a", address="a:1", clock=VirtualClock(), rng=random.Random(1), transport=Wire()
    )
    log._transport.attach = lambda *_: None  # type: ignore[method-assign]
    await log.start()
    with pytest.raises(Conflict, match="-dev"):
        await log.add_server("b", "b:1")
    await log.stop()
