"""What goes wrong: one action after the other, as the generator says. `heal` ends all of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from meshagent.errors import MeshError
from meshtest.sim.network import Weather
from meshtest.sim.wire import Wire

if TYPE_CHECKING:
    from meshtest.sim.cluster import Cluster, SimServer

PROFILES: dict[str, tuple[str, ...]] = {
    "partitions": ("cut", "cut", "one_way", "isolate_leader", "mend", "mend", "transfer"),
    "crashes": ("crash", "crash", "crash_in_write", "restart", "restart", "restart"),
    "weather": ("weather", "weather", "cut", "mend", "transfer", "pause"),
    "disks": ("slow_disk", "full_disk", "room", "room", "crash_in_write", "restart"),
    "members": ("add", "add", "promote", "promote", "promote", "remove", "transfer", "mend", "isolate_leader"),
    "leases": ("isolate_leader", "isolate_leader", "pause", "pause", "slow_net", "mend", "mend", "bounce", "transfer",
               "cut_pair", "cut_pair"),
    "restores": ("restore", "restore", "crash", "crash_in_write", "restart", "restart", "isolate_leader", "mend",
                 "mend", "transfer", "add", "full_disk", "room"),
    "lost_disks": ("lose_disk", "lose_disk", "lose_disk", "promote", "promote", "promote", "promote", "crash",
                   "restart", "restart", "isolate_leader", "cut", "mend", "mend", "mend", "transfer", "weather"),
    "streams": ("break_streams", "break_streams", "cut", "one_way", "isolate_leader", "mend", "mend", "mend", "weather",
                "pause", "transfer", "crash", "restart", "restart"),
    "recoveries": ("recover", "add", "add", "promote", "promote", "promote", "promote", "crash_in_write", "restart",
                   "restart", "cut", "mend", "mend", "mend", "lose_disk"),
    "all": (
        "cut", "one_way", "isolate_leader", "mend", "mend", "crash", "crash_in_write", "restart", "restart", "weather",
        "slow_disk", "full_disk", "room", "room", "pause", "transfer", "add", "promote", "promote", "remove",
        "restart_all", "lose_disk",
    ),
}  # fmt: skip


class Nemesis:
    def __init__(self, cluster: Cluster, seed: float, profile: str) -> None:
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.actions = PROFILES[profile]
        self.added = 0
        self.recovered = 0
        self.on_recovery: Callable[[], None] = lambda: None
        self.done: dict[str, int] = {}

    async def run(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await asyncio.sleep(self.rng.expovariate(5))
            action = self.rng.choice(self.actions)
            self.cluster.note(action)
            if getattr(self, action)() is not False:  # there was nothing to do it to
                self.done[action] = self.done.get(action, 0) + 1

    def _pick(self, *, up: bool) -> SimServer | None:
        servers = [server for server in self.cluster.servers.values() if server.up == up]
        return self.rng.choice(servers) if servers else None

    def cut(self) -> None:
        names = sorted(self.cluster.servers)
        self.rng.shuffle(names)
        at = self.rng.randrange(1, len(names)) if len(names) > 1 else 0
        for one in names[:at]:
            for other in names[at:]:
                self.cluster.network.cut |= {(one, other), (other, one)}

    def one_way(self) -> None:
        server = self._pick(up=True)
        if server is not None:
            inward = self.rng.random() < 0.5
            for other in self.cluster.servers:
                if self.rng.random() < 0.7:
                    pair = (other, server.node_id) if inward else (server.node_id, other)
                    self.cluster.network.cut.add(pair)

    def isolate_leader(self) -> None:
        leader = self.cluster.leader
        if leader is not None:
            for other in self.cluster.servers:
                self.cluster.network.cut |= {(other, leader.node_id), (leader.node_id, other)}

    def mend(self) -> None:
        self.cluster.network.cut.clear()

    def weather(self) -> None:
        rng = self.rng
        self.cluster.network.weather = Weather(
            loss=rng.choice((0.0, 0.02, 0.2)),
            doubled=rng.choice((0.0, 0.05, 0.3)),
            delay_s=rng.choice(((0.0002, 0.002), (0.001, 0.05), (0.0002, 0.4))),
            reconnects=rng.choice((0.0, 0.02, 0.1)),
            reorders=rng.random() < 0.5,
        )

    def crash(self) -> None:
        server = self._pick(up=True)
        if server is not None:
            server.crash()

    def crash_in_write(self) -> None:
        server = self._pick(up=True)
        if server is not None:
            server.disk.crash_at = server.disk.steps + self.rng.randrange(30)

    def restart(self) -> None:
        server = self._pick(up=False)
        if server is not None:
            self.cluster.spawn(server.start())

    def cut_pair(self) -> None:
        """The leader and one follower do not reach each other; the others reach both."""
        leader = self.cluster.leader
        if leader is not None:
            other = self.rng.choice([name for name in self.cluster.servers if name != leader.node_id])
            self.cluster.network.cut |= {(other, leader.node_id), (leader.node_id, other)}

    def slow_net(self) -> None:
        """Answers take longer than a lease."""
        low, high = self.rng.choice(((0.0002, 0.002), (0.05, 0.1), (0.1, 0.25)))
        self.cluster.network.weather = Weather(delay_s=(low, high), loss=self.rng.choice((0.0, 0.3)))

    def bounce(self) -> None:
        """The leader falls silent, and a follower that has heard it forgets all in a restart."""
        self.isolate_leader()
        leader = self.cluster.leader
        for server in list(self.cluster.servers.values()):
            if server is not leader and server.up and self.rng.random() < 0.7:
                server.crash()
                self.cluster.spawn(server.start())

    def restart_all(self) -> None:
        for server in self.cluster.servers.values():
            if server.up:
                server.crash()
            self.cluster.spawn(server.start())

    def lose_disk(self) -> bool:
        """One server's; no other while one has not caught up: more than a minority of disks is a quorum."""
        leader = self.cluster.leader
        if leader is None:
            return False
        engine, servers = leader.log._engine, self.cluster.servers
        if len(engine.voters) < 3 or engine.commit_index < engine.configuration_index:
            return False
        for member in leader.log.servers:
            if not member.incarnation or servers[member.node_id].incarnation != member.incarnation:
                return False
        server = servers[self.rng.choice(sorted(engine.voters))]
        server.lose_disk()
        asyncio.get_running_loop().call_later(self.rng.uniform(0, 0.3), self._start, server)
        return True

    def _start(self, server: SimServer) -> None:
        if not server.up and self.cluster.servers.get(server.node_id) is server:
            self.cluster.spawn(server.start())

    def recover(self) -> bool:
        """A quorum is lost for good; a person goes on with the servers that are left."""
        leader = self.cluster.leader
        if leader is None or self.recovered >= 2:
            return False
        voters = sorted(leader.log._engine.voters)
        able = [name for name in voters if self.cluster.servers[name].kept_index > 1]
        if len(voters) < 3 or not able:
            return False
        self.recovered += 1
        left = self.rng.sample(able, self.rng.randint(1, max(1, min(len(able), len(voters) // 2 + 1))))
        self.cluster.recover(sorted(left))
        self.on_recovery()
        return True

    def break_streams(self) -> bool:
        if not isinstance(self.cluster.network, Wire):
            return False
        for _ in range(self.rng.randint(1, 4)):
            self.cluster.network.break_one()
        return True

    def slow_disk(self) -> None:
        server = self._pick(up=True)
        if server is not None:
            server.disk_latency_s = self.rng.choice(((0.0001, 0.001), (0.01, 0.05), (0.1, 0.4)))

    def full_disk(self) -> None:
        server = self._pick(up=True)
        if server is not None:
            server.disk.free_bytes = self.rng.randrange(2000)

    def room(self) -> None:
        for server in self.cluster.servers.values():
            server.disk.free_bytes = None

    def pause(self) -> None:
        server = self.cluster.leader if self.rng.random() < 0.7 else self._pick(up=True)
        if server is not None and not server.paused:
            server.pause()
            asyncio.get_running_loop().call_later(self.rng.uniform(0.1, 2.0), server.resume)

    def transfer(self) -> None:
        leader = self.cluster.leader
        if leader is not None:
            others = sorted(leader.log._engine.voters - {leader.node_id})
            if others:
                name = self.rng.choice(others)

                async def hand_over() -> None:
                    with suppress(MeshError):
                        leader.log.transfer_leadership(name)

                leader.ask(hand_over)

    def add(self) -> None:
        leader = self.cluster.leader
        if leader is not None and self.added < 3 + 2 * self.recovered:
            self.added += 1
            server = self.cluster.add(f"n{self.added}")
            self.cluster.spawn(server.start())
            self.cluster.spawn(self._change(leader, "add", server.node_id, voter=False))

    def promote(self) -> None:
        leader = self.cluster.leader
        if leader is not None:
            waiting = [server.node_id for server in leader.log.servers if not server.voter]
            if waiting:
                self.cluster.spawn(self._change(leader, "add", self.rng.choice(waiting), voter=True))

    def remove(self) -> None:
        leader = self.cluster.leader
        if leader is not None and len(leader.log._engine.voters) > 3:
            name = self.rng.choice(sorted(leader.log._engine.voters))
            self.cluster.spawn(self._change(leader, "remove", name, voter=False))

    async def _change(self, leader: SimServer, what: str, node_id: str, *, voter: bool) -> None:
        try:
            if what == "add":
                change = leader.ask(lambda: leader.log.add_server(node_id, f"{node_id}:8300", voter=voter))
            else:
                change = leader.ask(lambda: leader.log.remove_server(node_id))
            await asyncio.wait_for(change, 1.0)
        except (MeshError, TimeoutError) as error:
            self.cluster.note(f"{what} {node_id}: {error.__class__.__name__}")
        else:
            self.cluster.note(f"{what} {node_id} voter={voter}")

    def restore(self) -> None:
        """An operator puts back the state of a moment ago."""
        leader = self.cluster.leader
        if leader is not None and leader.up:
            _, chunks = leader.log.save_snapshot()
            self.cluster.spawn(self._restore(leader, list(chunks)))

    async def _restore(self, leader: SimServer, chunks: list[bytes]) -> None:
        try:
            await asyncio.wait_for(leader.ask(lambda: leader.log.restore_snapshot(self._slowly(chunks))), 2.0)
        except (MeshError, TimeoutError) as error:
            self.cluster.note(f"restore: {error.__class__.__name__}")
        else:
            self.cluster.note("restored")

    async def _slowly(self, chunks: list[bytes]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            await asyncio.sleep(self.rng.expovariate(100))
            yield chunk

    def heal(self) -> None:
        cluster = self.cluster
        self.mend()
        cluster.network.weather = Weather()
        for server in cluster.servers.values():
            server.resume()
            server.disk.free_bytes = None
            server.disk.crash_at = None
            server.disk_latency_s = (0.0001, 0.001)
            if not server.up:
                cluster.spawn(server.start())
