"""Servers with all that stands between a client and the log: forwarding, read gates, the RPC port, byte streams.

`RpcServer`, `Peers`, `Link`, `RpcTransport`, `ForwardingLog` and `leader_methods` are the real ones; only sockets are
simulated (`wire.py`). Clients write and read through any server. A client that gets no answer asks again under the same
id, at whichever server; a write without an id of the client's gets one from the forwarding log and is asked for once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from meshagent.catalog.raft.messages import Message
from meshagent.catalog.raft.transport import OnMessage
from meshagent.catalog.rpc.forward import ForwardingLog
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.peers import Peers
from meshagent.catalog.rpc.raft_transport import RpcTransport
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.metrics import Metrics
from meshtest.sim.agents import client_methods
from meshtest.sim.cluster import Broken, Cluster, SimServer, SimWorker
from meshtest.sim.history import History
from meshtest.sim.lives import Life
from meshtest.sim.loop import SimLoop, SkewedClock
from meshtest.sim.wire import Wire

RPC_SETTINGS = RpcSettings(
    handshake_timeout_s=0.5,
    hold_timeout_s=2.0,
    ping_after_s=0.3,
    ping_timeout_s=0.3,
    redial_first_s=0.02,
    redial_longest_s=0.3,
)


class _Watched(RpcTransport):
    """Tells the cluster's checks what is said and heard."""

    def __init__(self, own: StackServer, server: RpcServer, peers: Peers, metrics: Metrics) -> None:
        super().__init__(server, peers, metrics)
        self._own = own

    def attach(self, on_message: OnMessage, on_connection: Callable[[str], None]) -> None:
        wire = self._own.cluster.network

        def heard(node_id: str, message: Message, epoch: int) -> None:
            wire.on_delivered(node_id, self._own.node_id, message)
            on_message(node_id, message, epoch)

        super().attach(heard, on_connection)

    def send(self, node_id: str, message: Message) -> None:
        self._own.cluster.network.on_sent(self._own.node_id, message)
        super().send(node_id, message)


class _NoLog:
    """Of a process that has just been started."""

    _started = is_leader = False
    _failure = None
    servers = ()


class StackServer(SimServer):
    log: Any = _NoLog()
    forward: ForwardingLog
    life: Life
    point = 0  # steps of earlier lives
    die_at: int | None = None  # the step, counted through all lives, at which it dies

    async def start(self) -> None:
        assert not self.up
        self.up, self.paused = True, False
        self.starts += 1
        self.floor = (0, 0, 0)
        self.log = _NoLog()
        self.life = life = Life(self.node_id)
        life.on_death = self.crash
        life.after = self.check
        if self.die_at is not None and self.die_at > self.point:
            life.die_at = self.die_at - self.point
        began = asyncio.get_running_loop().create_future()
        life.run(self._begin, began)
        await began

    def _begin(self, began: asyncio.Future[None]) -> None:
        self.life.beginning = asyncio.ensure_future(self._start(began))

    async def _start(self, began: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        wire: Wire = self.cluster.network
        loop.wire = wire
        self.machine = self.cluster.machine()
        self.worker, self.snapshot_worker = SimWorker(self), SimWorker(self)
        clock = SkewedClock(self.rate, self.offset)
        metrics = Metrics()
        identity = Identity(self.node_id, self.node_id, "dc1")
        rpc = RpcServer(identity, clock=clock, metrics=metrics, settings=RPC_SETTINGS)
        peers = Peers(
            identity=lambda: identity,
            security=Security,
            clock=clock,
            rng=random.Random(self.rng.random()),
            metrics=metrics,
            settings=RPC_SETTINGS,
        )
        rpc.on_peer = lambda peer: peers.nudge(peer.node_id)
        self.log = log = self.make_log(_Watched(self, rpc, peers, metrics), clock)
        self.forward = ForwardingLog(
            log,
            peers,
            node_id=self.node_id,
            origin=self.rng.getrandbits(64).to_bytes(8, "big"),
            clock=clock,
            metrics=metrics,
            settings=RPC_SETTINGS,
        )
        rpc.methods.update({**leader_methods(log), **client_methods(self)})
        wire.listen(self.life, rpc.adopt)
        await self.forward.start()
        self.started(log)
        if not began.done():
            began.set_result(None)

    @property
    def steps(self) -> int:
        """Of all lives."""
        return self.point + (self.life.steps if self.up else 0)

    def check(self) -> None:
        """The invariants that concern this server, behind each of its steps."""
        engine = self.engine
        if engine is not None and not engine._halted:
            self.cluster._check_server(self, engine)

    def ask(self, make: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        return self.life.ask(make)

    def crash(self) -> None:
        if not self.up:
            return
        self.up = self.paused = False
        self.life.alive = False
        self.point += self.life.steps
        if hasattr(self, "worker"):
            self.worker.alive = self.snapshot_worker.alive = False
        self.disk.free_bytes = None
        self.disk.fail = lambda operation, name: None
        self.disk.crash(self.rng)
        self.cluster.network.died(self.life)
        self.cluster.note(f"{self.node_id} crashes")

    def pause(self) -> None:
        self.paused = self.life.paused = True

    def when_awake(self, call: Callable[[], None]) -> None:
        call()  # `Life` sees to it

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self.life.resume()


class StackCluster(Cluster):
    def make_network(self, rng: random.Random) -> Wire:
        return Wire(rng)

    def make_server(self, node_id: str, peers: dict[str, str], *, joins: bool) -> StackServer:
        return StackServer(self, node_id, peers, joins=joins)


class StackHistory(History):
    """Clients that ask any server."""

    async def write(self, *, tries: int = 6) -> bool:
        self.proposed += 1
        number, known, era = self.proposed, self.known, self.cluster.era
        once = self.rng.random() < 0.3 and tries > 1
        for attempt in range(1 if once else tries):
            server = self._any()
            if server is None:
                await asyncio.sleep(0.05)
                continue
            self.retried += attempt > 0
            id = None if once else b"id-%d" % number
            answer = server.ask(lambda: server.forward.propose(b"%d" % number, id))  # noqa: B023
            place = await self._answered(answer, self.rng.choice((0.3, 1.0, 3.0)))
            if era != self.cluster.era:
                return True
            if place is None:
                await asyncio.sleep(self.rng.uniform(0, 0.2))
                continue
            if place <= known and not self.loose:
                raise Broken(f"write {number} came to place {place}, {known} were known")
            self.acknowledged[number] = place
            self.known = max(self.known, place)
            return True
        return False

    async def read_on(self, client: int) -> None:
        while not self.stopped:
            await asyncio.sleep(self.rng.expovariate(60))
            server = self._any()
            if server is None:
                continue
            consistent = self.rng.random() < 0.4
            known, era = self.known, self.cluster.era
            count = await self._answered(server.ask(lambda: self._read(server, consistent)), 3.0)  # noqa: B023
            if count is not None and era == self.cluster.era:
                self._saw("consistent" if consistent else "default", server, count, known)

    async def _read(self, server: StackServer, consistent: bool) -> int:
        machine = server.machine
        await server.forward.read_barrier(consistent=consistent)
        return machine.count

    async def _answered(self, answer: asyncio.Future[Any], wait_s: float) -> int | None:
        """None: it was refused, or it is not known whether it was done."""
        await asyncio.wait({answer}, timeout=wait_s)
        if not answer.done():
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            return None
        if answer.exception() is not None:
            return None
        count: int = answer.result()
        return count

    def _any(self) -> StackServer | None:
        up = [server for server in self.cluster.servers.values() if server.up and server.log._started]
        server = self.rng.choice(up) if up else None
        assert server is None or isinstance(server, StackServer)
        return server


__all__ = ["RPC_SETTINGS", "StackCluster", "StackHistory", "StackServer"]
