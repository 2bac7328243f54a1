"""Clients of a simulated cluster. All writes and reads concern one list, so whether they are linearizable is plain
from their places: a write's place, and how many a read saw, never fall below what was known when it was asked."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from meshagent.errors import MeshError
from meshtest.sim.cluster import Broken

if TYPE_CHECKING:
    from meshtest.sim.cluster import Cluster, SimServer


class History:
    def __init__(self, cluster: Cluster, seed: float) -> None:
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.proposed = 0
        self.acknowledged: dict[int, int] = {}  # number: place
        self.known = 0  # places that somebody was told
        self.reads = {"default": 0, "consistent": 0}
        self.retried = 0
        self.forgotten = 0
        self.stopped = False
        self.loose = False  # states are put back meanwhile: what was acknowledged may be replaced

    async def write_on(self, client: int) -> None:
        while not self.stopped:
            await asyncio.sleep(self.rng.expovariate(40))
            await self.write()

    async def write(self, *, tries: int = 4) -> bool:
        self.proposed += 1
        number, known, era = self.proposed, self.known, self.cluster.era
        for attempt in range(tries):
            server = self._server()
            if server is None:
                await asyncio.sleep(0.05)
                continue
            self.retried += attempt > 0
            future = server.log.propose(b"%d" % number, b"id-%d" % number)
            try:
                place = await asyncio.wait_for(future, 0.4)
            except (MeshError, TimeoutError):
                await asyncio.sleep(self.rng.uniform(0, 0.2))
                continue
            if era != self.cluster.era:
                return True
            if place <= known and not self.loose:
                raise Broken(f"write {number} came to place {place}, {known} were known")
            self.acknowledged[number] = place
            self.known = max(self.known, place)
            return True
        return False

    async def read_on(self, client: int) -> None:
        while not self.stopped:
            await asyncio.sleep(self.rng.expovariate(60))
            server = self._server(claims=True)
            if server is None:
                continue
            await (self._read_default(server) if self.rng.random() < 0.7 else self._read_consistent(server))

    def forget(self) -> None:
        """A recovery by hand: what was acknowledged may be lost."""
        self.forgotten += len(self.acknowledged)
        self.acknowledged.clear()
        self.known = 0

    async def _read_default(self, server: SimServer) -> None:
        log, known = server.log, self.known
        await self._awake(server)  # the request waits in the socket
        if not log.is_leader:
            return
        count = server.machine.count
        if delay_s := self.rng.choice((0.0, 0.0, 0.001, 0.05)):
            await asyncio.sleep(delay_s)
            await self._awake(server)
        if server.up and server.log is log and log.is_leader:  # looked at again as the answer leaves
            self._saw("default", server, count, known)

    async def _awake(self, server: SimServer) -> None:
        if server.paused:
            awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            server.when_awake(lambda: awake.done() or awake.set_result(None))
            await awake

    async def _read_consistent(self, server: SimServer) -> None:
        log, known = server.log, self.known
        try:
            await asyncio.wait_for(log.barrier(), 0.5)
        except (MeshError, TimeoutError):
            return
        if server.up and server.log is log:
            self._saw("consistent", server, server.machine.count, known)

    def _saw(self, kind: str, server: SimServer, count: int, known: int) -> None:
        if count < known and not self.loose:
            raise Broken(f"a {kind} read at {server.node_id} saw {count} writes, {known} were known when it was asked")
        self.known = max(self.known, count)
        self.reads[kind] += 1

    def _server(self, *, claims: bool = False) -> SimServer | None:
        up = [server for server in self.cluster.servers.values() if server.up and server.log._started]
        leading = [server for server in up if server.log._engine.takes_commands]
        if claims and len(leading) > 1:  # the ones to look at
            return min(leading, key=lambda server: server.log._engine.term)
        if leading and self.rng.random() < 0.9:
            return self.rng.choice(leading)
        return self.rng.choice(up) if up else None

    def check_kept(self, places: dict[int, int]) -> None:
        if self.loose:
            return
        lost = [number for number, place in self.acknowledged.items() if places.get(number) != place]
        if lost:
            raise Broken(f"acknowledged writes lost or moved: {lost[:5]}")

    def summary(self) -> dict[str, Any]:
        return {
            "proposed": self.proposed,
            "acknowledged": len(self.acknowledged) + self.forgotten,
            "retried": self.retried,
            **self.reads,
        }
