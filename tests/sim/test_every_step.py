"""One scripted life of a cluster, and a server that dies at each of its steps: every disk operation, every turn.

The script: begin, write, snapshot, a follower away for long, a newcomer that gets the state and then a vote, a restore,
a removal. At the end all agree and nothing acknowledged since the restore is lost.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.sim.catalog import Catalog
from meshtest.sim.cluster import Cluster, SimServer
from meshtest.sim.loop import run_sim

from meshagent.errors import MeshError

STEPS = 150  # disk operations of one server in the script (a few more or less, by role)
TURNS_S = 4.0  # how long the script takes


class Script:
    def __init__(self) -> None:
        self.cluster = Cluster(11, 3, skew=0.02, machine=Catalog, joins=True)
        self.kept: set[int] = set()
        self.number = 0

    async def run(self) -> None:
        cluster = self.cluster
        for server in cluster.servers.values():
            cluster.spawn(server.start())
        await asyncio.sleep(0.01)
        addresses = {name: f"{name}:8300" for name in cluster.servers}
        await self.until_done(lambda: cluster.servers["s1"].log.bootstrap(addresses), self.begun)
        await self.write(30)
        await self.on_leader(lambda leader: leader.log.snapshot())
        cluster.network.cut |= {("s3", other) for other in ("s1", "s2")} | {(other, "s3") for other in ("s1", "s2")}
        await self.write(90)
        cluster.network.cut.clear()
        newcomer = cluster.add("n1")
        cluster.spawn(newcomer.start())
        await self.on_leader(lambda leader: leader.log.add_server("n1", "n1:8300"))
        await self.write(10)
        await self.on_leader(lambda leader: leader.log.add_server("n1", "n1:8300", voter=True))
        chunks = list(Catalog().snapshot())
        self.kept.clear()
        await self.on_leader(lambda leader: leader.log.restore_snapshot(chunks))
        self.kept.clear()
        await self.write(20)
        await self.on_leader(lambda leader: leader.log.remove_server("s2"))
        await self.write(5)

    def begun(self) -> bool:
        return any(server.up and server.log._started and server.log.servers for server in self.cluster.servers.values())

    async def until_done(self, action: Any, done: Any) -> None:
        for _ in range(100):
            try:
                await asyncio.wait_for(action(), 1.0)
            except (MeshError, TimeoutError):
                await asyncio.sleep(0.1)
            if done():
                return
        raise AssertionError("never done")

    async def on_leader(self, action: Any) -> None:
        """Again and again until it is done: whoever asked retries."""
        for _ in range(200):
            self.cluster.check()
            leader = self.cluster.leader
            if leader is not None and leader.up and leader.log.is_leader:
                try:
                    await asyncio.wait_for(action(leader), 1.0)
                    return
                except (MeshError, TimeoutError):
                    pass
            await asyncio.sleep(0.05)
        raise AssertionError("never done")

    async def write(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            number = self.number
            await self.on_leader(lambda leader: leader.log.propose(b"%d" % number, b"id-%d" % number))  # noqa: B023
            self.kept.add(number)


async def live(script: Script, dies: Any) -> None:
    running = asyncio.ensure_future(script.run())
    mourning = asyncio.ensure_future(dies(script))
    await asyncio.wait_for(running, 60)
    mourning.cancel()
    cluster = script.cluster
    for server in cluster.servers.values():
        server.disk.crash_at = None
        if not server.up:
            await server.start()
    for _ in range(200):
        await asyncio.sleep(0.1)
        cluster.check()
        leader = cluster.leader
        if leader is None:
            continue
        members = [cluster.servers[server.node_id] for server in leader.log.servers]
        if {member.machine.digest for member in members} == {leader.machine.digest}:
            assert script.kept <= leader.machine.places.keys()
            digests = {member.machine.store.digest() for member in members}  # type: ignore[attr-defined]
            assert len(digests) == 1
            assert sorted(server.node_id for server in leader.log.servers) == ["n1", "s1", "s3"]
            return
    raise AssertionError("no agreement")


async def revive(script: Script, server: SimServer) -> None:
    while server.up or not server.starts:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    await server.start()


@pytest.mark.parametrize("name", ["s1", "s2", "s3"])
@pytest.mark.parametrize("step", range(0, STEPS, 9))
def test_it_survives_a_death_at_any_disk_operation(name: str, step: int) -> None:
    async def dies(script: Script) -> None:
        server = script.cluster.servers[name]
        server.disk.crash_at = server.disk.steps + step + int(name[1]) * 3  # not the same ones for each
        await revive(script, server)

    run_sim(live(Script(), dies))


@pytest.mark.parametrize("name", ["s1", "s3", "n1"])
@pytest.mark.parametrize("turn", range(12))
def test_it_survives_a_death_at_any_moment(name: str, turn: int) -> None:
    async def dies(script: Script) -> None:
        await asyncio.sleep(0.02 + TURNS_S * turn / 12)
        while name not in script.cluster.servers:
            await asyncio.sleep(0.01)
        server = script.cluster.servers[name]
        if server.up:
            server.crash()
        await revive(script, server)

    run_sim(live(Script(), dies))


def test_the_script_has_the_steps_that_are_tried() -> None:
    script = Script()

    async def dies(_: Script) -> None:
        return

    run_sim(live(script, dies))
    steps = [script.cluster.servers[name].disk.steps for name in ("s1", "s2", "s3")]
    assert min(steps) > STEPS * 0.8
