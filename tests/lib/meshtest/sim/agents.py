"""Client agents of a simulated cluster: their way to the servers and their log of registrations are the real ones.

`Upstream` (with its opener, sessions and retries) and `RemoteLog` run in a process of their own over simulated streams;
on the servers `register_all` and `OpenFeed` answer them. An agent is cut off from servers, loses its connections, dies
and comes back as another run. No write that it was told of may be lost, come twice, or come before one that the same
run asked for earlier; one that reached no server, as it was told, must not be done; and what it reads shows all that
was known when it asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.feed import Feed
from meshagent.agent.rpc.messages import Standing
from meshagent.agent.rpc.remote_log import RemoteLog
from meshagent.agent.rpc.serving import OpenFeed, register_all
from meshagent.agent.rpc.upstream import Upstream
from meshagent.agent.servers import Server, Servers
from meshagent.catalog.rpc.hello import CLIENT, Identity, Peer
from meshagent.catalog.rpc.link import Methods
from meshagent.catalog.rpc.tls import Security
from meshagent.catalog.rpc.writes import encode_index, encode_outcomes
from meshagent.errors import MeshError, NoLeader
from meshagent.metrics import Metrics
from meshtest.sim.cluster import Broken, Cluster
from meshtest.sim.lives import Life
from meshtest.sim.loop import SkewedClock

if TYPE_CHECKING:
    from meshagent.catalog.rpc.settings import RpcSettings
    from meshtest.sim.history import History
    from meshtest.sim.stack import StackServer

COUNT = "sim-count"
Places = dict[int, tuple[int, int]]  # of what one run asked for: number -> (place, era of the cluster)
ANSWERED_S = 3.0  # an agent goes on with something else, as its callers do; what comes later still counts


def client_methods(server: StackServer) -> Methods:
    """What a server answers to client agents, but for rows of the catalog."""

    async def feed(_: Peer, payload: bytes) -> AsyncIterator[bytes]:
        opened = OpenFeed(lambda wake: Feed(_nothing_to_follow, lambda key, follower: None, wake))
        opened.feed.tell(Standing(server.log.leader or "", 0))
        try:
            async for piece in opened.pieces():
                yield piece
        finally:
            opened.close()

    async def sync(_: Peer, payload: bytes) -> bytes:
        await server.forward.read_barrier()
        return encode_index(server.machine.count)

    async def count(_: Peer, payload: bytes) -> bytes:
        machine = server.machine
        await server.forward.read_barrier(consistent=payload == b"consistent")
        return b"%d" % machine.count

    async def check(token: str, command: bytes) -> None:
        assert token == "secret"

    async def register(_: Peer, payload: bytes) -> bytes:
        return encode_outcomes(await register_all(messages.decode_writes(payload), check, server.forward.propose))

    return {messages.FEED: feed, messages.SYNC: sync, messages.REGISTER: register, COUNT: count}


def _nothing_to_follow(watch: Any) -> Any:
    raise AssertionError("nobody follows anything here")


class SimAgent:
    """One client agent: `run` until the history says stop."""

    def __init__(self, cluster: Cluster, history: History, name: str, seed: float, settings: RpcSettings) -> None:
        self.cluster = cluster
        self.history = history
        self.name = name
        self.rng = random.Random(seed)
        self.settings = settings
        self.unsent: set[int] = set()  # what reached no server, as it was told
        self.facts = {"agent writes": 0, "agent reads": 0, "agent runs": 0}

    async def run(self) -> None:
        while not self.history.stopped:
            await self._live(self.rng.expovariate(0.5))

    async def _live(self, seconds: float) -> None:
        """One run of the process, or to the end."""
        loop = asyncio.get_running_loop()
        life = Life(self.name)
        self.facts["agent runs"] += 1
        began: asyncio.Future[tuple[Upstream, RemoteLog]] = life.ask(self._start)
        upstream, log = await began
        until = loop.time() + seconds
        places: Places = {}
        writing = [self.cluster.spawn(self._write_on(life, log, places)) for _ in range(2)]
        reading = self.cluster.spawn(self._read_on(life, upstream))
        known: list[str] = []
        while loop.time() < until and not self.history.stopped:
            await asyncio.sleep(self.rng.uniform(0.02, 0.2))
            if known != (known := sorted(self.cluster.servers)):
                life.run(upstream.set_servers, [Server(f"{name}:8300", name) for name in known])
            self._trouble(life)
        for task in (*writing, reading):
            task.cancel()
        life.alive = False
        self.cluster.network.died(life)

    async def _start(self) -> tuple[Upstream, RemoteLog]:
        loop: Any = asyncio.get_running_loop()
        loop.wire = self.cluster.network
        clock = SkewedClock(1.0 + self.rng.uniform(-0.05, 0.05), self.rng.uniform(0, 100))
        upstream = Upstream(
            Servers(random.Random(self.rng.random())),
            identity=lambda: Identity(self.name, self.name, "dc1", role=CLIENT),
            security=Security,
            clock=clock,
            rng=random.Random(self.rng.random()),
            metrics=Metrics(),
            settings=self.settings,
        )
        origin = self.rng.getrandbits(64).to_bytes(8, "big")
        log = RemoteLog(upstream, origin=origin, clock=clock, token=lambda: "secret")
        upstream.start()
        return upstream, log

    def _trouble(self, life: Life) -> None:
        """It is cut off from a server, in one direction or both, or all its connections break."""
        wire, chance = self.cluster.network, self.rng.random()
        if chance < 0.1:
            server = self.rng.choice(sorted(self.cluster.servers))
            ways = [(self.name, server), (server, self.name)]
            wire.cut |= set(ways if self.rng.random() < 0.6 else [self.rng.choice(ways)])
        elif chance < 0.25:
            wire.cut = {way for way in wire.cut if self.name not in way}
        elif chance < 0.3:
            wire.died(life)

    # -- writes

    async def _write_on(self, life: Life, log: RemoteLog, places: Places) -> None:
        while not self.history.stopped:
            await asyncio.sleep(self.rng.expovariate(20))
            await asyncio.wait({self._write(life, log, places)}, timeout=self.rng.choice((0.05, ANSWERED_S)))

    def _write(self, life: Life, log: RemoteLog, places: Places) -> asyncio.Future[Any]:
        history = self.history
        history.proposed += 1
        number, known, era = history.proposed, history.known, self.cluster.era
        answer = life.ask(lambda: log.propose(b"%d" % number))
        answer.add_done_callback(lambda done: self._told(done, number, known, era, places))
        return answer

    def _told(self, done: asyncio.Future[Any], number: int, known: int, era: int, places: Places) -> None:
        if done.cancelled() or era != self.cluster.era:
            return
        history, error = self.history, done.exception()
        if error is not None:
            if not isinstance(error, MeshError):
                raise Broken(f"agent {self.name}, write {number}: {error!r}")
            if isinstance(error, NoLeader):
                self.unsent.add(number)
            return
        place = done.result()
        if place <= known and not history.loose:
            raise Broken(f"write {number} of agent {self.name} came to place {place}, {known} were known")
        for other, (there, then) in places.items():
            if then == era and (other < number) != (there < place) and not history.loose:
                raise Broken(f"agent {self.name} asked for {number} and {other}, they came to {place} and {there}")
        places[number] = place, era
        history.acknowledged[number] = place
        history.known = max(history.known, place)
        self.facts["agent writes"] += 1

    # -- reads

    async def _read_on(self, life: Life, upstream: Upstream) -> None:
        history = self.history
        while not history.stopped:
            await asyncio.sleep(self.rng.expovariate(20))
            how = self.rng.choice((b"default", b"consistent"))
            known, era = history.known, self.cluster.era
            answer = life.ask(lambda: upstream.call(COUNT, how))  # noqa: B023
            await asyncio.wait({answer}, timeout=ANSWERED_S)
            if not answer.done():
                answer.add_done_callback(lambda done: done.cancelled() or done.exception())
                continue
            with suppress(MeshError):
                seen = int(answer.result())
                if era != self.cluster.era or history.loose:
                    continue
                if seen < known:
                    raise Broken(f"a {how.decode()} read of {self.name} saw {seen} writes, {known} were known")
                history.known = max(history.known, seen)
                self.facts["agent reads"] += 1

    def check_unsent(self, places: dict[int, int]) -> None:
        """Raises Broken: a write was done of which it was told that it had reached nobody."""
        done = sorted(self.unsent & places.keys())
        if done:
            raise Broken(
                f"agent {self.name} was told that these writes reached no server, and they are done: {done[:5]}"
            )
