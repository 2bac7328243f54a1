"""One short scripted life of a cluster, in which a server dies at any step one names: a point.

The script: begin, elect, write through every server, snapshot, a follower away for so long that it gets the state, a
newcomer that gets a vote, a restore, a hand-over, a removal, a restart. Whoever asks for something asks again until it
is done. At the end all members agree and nothing acknowledged since the restore is lost; invariants are looked at
behind every step of every server.

A point is a step of one process (`lives.py`): a task that goes on behind an `await`, a timer, bytes that came in, an
answer of the disk; or one operation of its disk. The server dies right before it, and comes back a moment later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any

from meshagent.errors import MeshError
from meshtest.sim.catalog import Catalog
from meshtest.sim.cluster import SETTINGS, Broken
from meshtest.sim.loop import run_sim
from meshtest.sim.stack import StackCluster, StackServer

SEED = 11
NAMES = ("s1", "s2", "s3", "n1")
BACK_AFTER_S = 0.03
ASKED_FOR_S = 0.4
GIVES_UP = 400
FAST = replace(
    SETTINGS,
    heartbeat_s=0.04,
    election_min_s=0.12,
    election_max_s=0.24,
    segment_bytes=320,
    reserve_bytes=64,
    trailing_logs=1,
    snapshot_threshold=1000,
)


@dataclass(frozen=True)
class Point:
    """`kind` is "step" or "disk"; `number` counts through all lives of the server, from 1."""

    server: str
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.server}:{self.kind}:{self.number}"


def parse_point(text: str) -> Point:
    """What `str` of a point is."""
    server, kind, number = text.split(":")
    return Point(server, kind, int(number))


class ScriptServer(StackServer):
    settings = FAST
    window_bytes = 200
    keeps_log = False
    operations = 0  # of its disk, in earlier lives
    dies_at_operation: int | None = None

    async def start(self) -> None:
        if self.dies_at_operation is not None and self.dies_at_operation > self.operations:
            self.disk.crash_at = self.dies_at_operation - self.operations - 1
        await super().start()

    def crash(self) -> None:
        if self.up:
            self.operations += self.disk.steps
            if self.dies_at_operation == self.operations + 1:
                self.dies_at_operation = None
            super().crash()
            Context().run(self.cluster.spawn, self._come_back())  # not part of the life that ends

    async def _come_back(self) -> None:
        await asyncio.sleep(BACK_AFTER_S)
        await self.start()


class ScriptCluster(StackCluster):
    def make_server(self, node_id: str, peers: dict[str, str], *, joins: bool) -> ScriptServer:
        return ScriptServer(self, node_id, peers, joins=joins)


class Script:
    def __init__(self, point: Point | None = None) -> None:
        self.cluster = ScriptCluster(SEED, 3, skew=0.02, machine=Catalog, joins=True)
        self.point = point
        self.kept: dict[int, int] = {}
        self.number = 0
        self.counted: dict[str, tuple[int, int]] = {}  # steps and operations of the disk of each server, at the end
        self.asked = NAMES  # who takes writes
        for name in self.cluster.servers:
            self._arm(name)

    def _arm(self, name: str) -> None:
        server, point = self.cluster.servers[name], self.point
        assert isinstance(server, ScriptServer)
        if point is not None and point.server == name:
            if point.kind == "step":
                server.die_at = point.number
            else:
                server.dies_at_operation = point.number

    async def run(self) -> None:
        cluster = self.cluster
        servers = cluster.servers
        for server in list(servers.values()):
            cluster.spawn(server.start())
        addresses = {name: f"{name}:8300" for name in servers}
        await self.until(
            lambda: self.ask("s1", lambda s: s.log.bootstrap(addresses)), lambda: bool(servers["s1"].log.servers)
        )
        await self.write(6)
        await self.on_leader(lambda leader: leader.log.snapshot())
        cluster.network.cut |= {(one, two) for one in servers for two in servers if one != two and "s3" in (one, two)}
        self.asked = ("s1", "s2")
        await self.write(6)
        await self.on_leader(lambda leader: leader.log.snapshot())
        cluster.network.cut.clear()
        self.asked = NAMES
        await self.write(2)
        cluster.add("n1")
        self._arm("n1")
        cluster.spawn(servers["n1"].start())
        await self.on_leader(lambda leader: leader.log.add_server("n1", "n1:8300"))
        await self.write(2)
        await self.on_leader(lambda leader: leader.log.add_server("n1", "n1:8300", voter=True))
        await self.write(2)
        chunks = list(Catalog().snapshot())
        await self.on_leader(lambda leader: leader.log.restore_snapshot(chunks))
        self.kept.clear()
        await self.write(2)
        await self.on_leader(self._hand_over)
        await self.write(2)
        await self.on_leader(lambda leader: leader.log.remove_server("s2"))
        self.asked = ("s1", "s3", "n1")
        await self.write(2)
        servers["s3"].crash()
        await self.write(2)
        await self._agree()
        for server in servers.values():
            assert isinstance(server, ScriptServer)
            self.counted[server.node_id] = server.steps, server.operations + server.disk.steps

    async def _hand_over(self, leader: StackServer) -> None:
        leader.log.transfer_leadership()

    async def ask(self, name: str, make: Callable[[StackServer], Awaitable[Any]]) -> Any:
        """Raises MeshError, TimeoutError."""
        server = self.cluster.servers[name]
        assert isinstance(server, StackServer)
        if not server.up or not server.log._started:
            raise TimeoutError
        answer = server.ask(lambda: make(server))
        await asyncio.wait({answer}, timeout=ASKED_FOR_S)
        if not answer.done():
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise TimeoutError
        return answer.result()

    async def until(self, action: Callable[[], Awaitable[Any]], done: Callable[[], bool]) -> None:
        for _ in range(GIVES_UP):
            try:
                await action()
            except (MeshError, TimeoutError):
                await asyncio.sleep(0.01)
            if done():
                return
        raise Broken("never done")

    async def on_leader(self, action: Callable[[StackServer], Awaitable[Any]]) -> None:
        for _ in range(GIVES_UP):
            self.cluster.check()
            leader = self.cluster.leader
            if leader is not None and leader.log.is_leader:
                try:
                    await self.ask(leader.node_id, action)
                    return
                except (MeshError, TimeoutError):
                    pass
            await asyncio.sleep(0.01)
        raise Broken("never done")

    async def write(self, count: int) -> None:
        """Through one server after the other; a write whose answer is lost is asked for again under its id."""
        for _ in range(count):
            self.number += 1
            number = self.number
            for attempt in range(GIVES_UP):
                self.cluster.check()
                names = [name for name in self.asked if name in self.cluster.servers]
                name = names[(number + attempt) % len(names)]
                try:
                    place = await self.ask(name, lambda s: s.forward.propose(b"%d" % number, b"id-%d" % number))  # noqa: B023
                except (MeshError, TimeoutError):
                    await asyncio.sleep(0.01)
                    continue
                self.kept[number] = place
                break
            else:
                raise Broken(f"write {number} is never done")

    async def _agree(self) -> None:
        cluster = self.cluster
        for _ in range(GIVES_UP):
            await asyncio.sleep(0.02)
            cluster.check()
            leader = cluster.leader
            if leader is None or not leader.log.is_leader:
                continue
            members = [cluster.servers[server.node_id] for server in leader.log.servers]
            if not all(member.up and member.log._started for member in members):
                continue
            if {member.machine.digest for member in members} != {leader.machine.digest}:
                continue
            lost = [number for number, place in self.kept.items() if leader.machine.places.get(number) != place]
            if lost:
                raise Broken(f"acknowledged writes lost or moved: {lost[:5]}")
            if len({member.machine.store.digest() for member in members}) != 1:  # type: ignore[attr-defined]
                raise Broken("the catalogs differ")
            if sorted(server.node_id for server in leader.log.servers) != ["n1", "s1", "s3"]:
                raise Broken(f"the members are {leader.log.servers}")
            return
        raise Broken("no agreement")


def run_point(point: Point | None) -> Script:
    """The script with a death at `point`. Raises Broken, with the point in its message."""

    async def main() -> Script:
        script = Script(point)
        await script.run()
        return script

    try:
        return run_sim(main())
    except Exception as error:
        raise Broken(f"{point}: {error!r}") from error


def all_points() -> list[Point]:
    """Every point that the script has when nobody dies."""
    counted = run_point(None).counted
    points = []
    for name in NAMES:
        for kind, count in zip(("step", "disk"), counted[name], strict=True):
            points += [Point(name, kind, number) for number in range(1, count + 1)]
    return points
