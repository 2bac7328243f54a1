"""A cluster in one process: real logs, engines and journals on simulated disks, clocks and network, from one seed."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from meshagent.catalog.raft.configuration import initial
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import FileJournal
from meshagent.catalog.raft.messages import Message, PreVote, VoteReply
from meshagent.catalog.raft.peers_file import encode_peers
from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.transport import Transport
from meshagent.clock import Clock
from meshagent.errors import CorruptData, InternalError, MeshError, Unavailable
from meshtest.disk import Crash, SimDisk
from meshtest.sim.loop import SkewedClock
from meshtest.sim.network import Network

SETTINGS = RaftSettings(
    multiplier=1,
    heartbeat_s=0.05,
    election_min_s=0.3,
    election_max_s=0.6,
    segment_bytes=4096,
    reserve_bytes=512,
    trailing_logs=40,
    snapshot_threshold=60,
    snapshot_interval_s=0.5,
    max_entry_commands=8,
)
WINDOW_BYTES = 3000


class Broken(AssertionError):
    """An invariant does not hold."""


class Numbers:
    """The state machine: a list of numbers, each at most once. Applying one returns its place."""

    def __init__(self) -> None:
        self.places: dict[int, int] = {}
        self.digest = 0
        self.broken = ""

    def apply(self, command: bytes) -> int:
        number = int(command)
        if number in self.places:
            self.broken = f"write {number} is applied twice"  # an exception would be taken for the command's
        self.places[number] = len(self.places) + 1
        self.digest = zlib.crc32(command, self.digest)
        return len(self.places)

    @property
    def count(self) -> int:
        return len(self.places)

    def flush(self) -> None:
        return

    def snapshot(self) -> Iterator[bytes]:
        numbers = list(self.places)
        digest = self.digest
        parts = (b" ".join(b"%d" % number for number in numbers[at : at + 50]) for at in range(0, len(numbers), 50))
        return chain(parts, (b"digest %d" % digest,))

    def restore(self, chunks: Iterable[bytes]) -> None:
        *parts, end = list(chunks) or [b""]
        if not end.startswith(b"digest "):
            raise CorruptData("cut short")
        numbers = [int(number) for part in parts for number in part.split()]
        self.places = {number: place for place, number in enumerate(numbers, 1)}
        self.digest = int(end.split()[1])


class SimWorker:
    """A disk thread that takes its time, and dies with its server."""

    def __init__(self, server: SimServer) -> None:
        self._server = server
        self._free_at = 0.0
        self.alive = True

    def submit(self, job: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        if not self.alive:
            return
        loop = asyncio.get_running_loop()
        low, high = self._server.disk_latency_s
        self._free_at = max(self._free_at, loop.time()) + self._server.rng.uniform(low, high)
        loop.call_at(self._free_at, self._run, job, done)

    def _run(self, job: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        if not self.alive:
            return
        result, error = None, None
        try:
            result = job()
        except Crash:
            self._server.crash()
            return
        except Exception as caught:
            error = caught
        self._server.when_awake(partial(self._tell, done, result, error))

    def _tell(
        self, done: Callable[[Any, BaseException | None], None], result: Any, error: BaseException | None
    ) -> None:
        if self.alive:
            done(result, error)

    def stop(self) -> None:
        return


class ServerClock(SkewedClock):
    """Nothing wakes in a process that is stopped, but its clock goes on."""

    def __init__(self, server: SimServer, rate: float, offset: float) -> None:
        super().__init__(rate, offset)
        self._server = server

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        while self._server.paused:
            awake = asyncio.get_running_loop().create_future()
            self._server.when_awake(partial(_wake, awake))
            await awake


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class SimServer:
    settings = SETTINGS
    window_bytes = WINDOW_BYTES
    keeps_log = True  # sometimes: behind its snapshots

    def __init__(self, cluster: Cluster, node_id: str, peers: dict[str, str], *, joins: bool) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.peers = peers
        self.joins = joins
        self.rng = random.Random(cluster.rng.random())
        self.disk = SimDisk()
        self.disk_latency_s = (0.0001, 0.001)
        self.rate = 1.0 + cluster.rng.uniform(-cluster.skew, cluster.skew)
        self.offset = cluster.rng.uniform(0, 100)
        self.up = False
        self.paused = False
        self.sleepers: list[Callable[[], None]] = []
        self.machine = Numbers()
        self.log: RaftLog
        self.starts = 0
        self.incarnation = 0  # of the directory on its disk, once it is known
        self.said_term = 0  # the newest term that it told anybody
        self.floor = (0, 0, 0)  # term, commit and applied index of this life

    @property
    def kept_index(self) -> int:
        """Up to here this server knows entries to be committed, and has them on its disk."""
        engine = self.log._engine if self.incarnation and self.log._started else None
        return 0 if engine is None else min(engine.commit_index, engine._journal.durable_index)

    @property
    def engine(self) -> Engine | None:
        return self.log._engine if self.up and self.log._started else None

    async def start(self) -> None:
        assert not self.up
        self.up = True
        self.starts += 1
        self.floor = (0, 0, 0)
        self.machine = self.cluster.machine()
        self.worker, self.snapshot_worker = SimWorker(self), SimWorker(self)
        self.port = self.cluster.network.port(self.node_id)
        self.log = log = self.make_log(self.port, ServerClock(self, self.rate, self.offset))
        await log.start()
        self.started(log)

    def make_log(self, transport: Transport, clock: Clock) -> RaftLog:
        return RaftLog(
            self.machine,
            node_id=self.node_id,
            address=f"{self.node_id}:8300",
            journal=FileJournal(
                self.disk,
                self.worker,
                segment_bytes=self.settings.segment_bytes,
                reserve_bytes=self.settings.reserve_bytes,
                window_bytes=self.window_bytes,
                kept_bytes=2 * self.settings.segment_bytes if self.rng.random() < 0.5 and self.keeps_log else 0,
                new_incarnation=self.rng.getrandbits(62) or 1,
            ),
            clock=clock,
            rng=random.Random(self.rng.random()),
            settings=self.settings,
            transport=transport,
            peers=self.peers,
            joins=self.joins,
            snapshot_worker=self.snapshot_worker,
        )

    def started(self, log: RaftLog) -> None:
        if self.log is log:
            self.incarnation = log.incarnation
        if self.log is log and self.up and log._engine.term < self.said_term:
            raise Broken(f"{self.node_id} comes back in term {log._engine.term}, it spoke in {self.said_term}")

    def ask(self, make: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        """What `make` gives in this process."""
        return asyncio.ensure_future(make())

    def crash(self) -> None:
        if not self.up:
            return
        self.up = False
        self.resume()
        self.worker.alive = self.snapshot_worker.alive = self.port.alive = False
        log = self.log
        log._failure = log._refusal = Unavailable("dead")
        if log._started:
            log._engine._halted = True
        for tasks in [log._tasks, *([log._compaction._tasks] if log._compaction is not None else [])]:
            for task in list(tasks._tasks):
                task.cancel()
        self.disk.free_bytes = None
        self.disk.fail = lambda operation, name: None
        self.disk.crash(self.rng)
        self.cluster.note(f"{self.node_id} crashes")

    def lose_disk(self) -> None:
        """It comes back under its name with nothing. Who talked to it notices that its connection broke."""
        self.crash()
        self.disk = SimDisk()
        self.peers, self.joins = {}, True
        self.said_term = self.incarnation = 0
        self.cluster.network.break_off(self.node_id)
        self.cluster.note(f"{self.node_id} loses its disk")

    def pause(self) -> None:
        self.paused = self.port.paused = True

    def when_awake(self, call: Callable[[], None]) -> None:
        if self.paused:
            self.sleepers.append(call)
        else:
            call()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            sleepers, self.sleepers = self.sleepers, []
            self.rng.shuffle(sleepers)  # timers, answers of the disk and requests are all due at once
            for call in sleepers:
                call()
            self.port.resume()


class Cluster:
    """`machine` makes the state machine of each life of a server. With `joins` no server knows of the others."""

    network: Any

    def __init__(
        self, seed: int, size: int, *, skew: float = 0.05, machine: Callable[[], Numbers] = Numbers, joins: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        self.machine = machine
        self.skew = skew
        self.network = self.make_network(random.Random(self.rng.random()))
        self.network.on_sent = self._on_sent
        self.network.on_delivered = self._on_delivered
        names = [f"s{number}" for number in range(1, size + 1)]
        self.servers: dict[str, SimServer] = {}
        for name in names:
            peers = {other: f"{other}:8300" for other in names if other != name}
            self.servers[name] = self.make_server(name, {} if joins else peers, joins=joins)
        self.trace: list[str] = []
        self.leaders: dict[int, str] = {}
        self.votes: dict[tuple[str, int, int], str] = {}  # (voter, its incarnation, term): for whom
        self.committed: dict[int, tuple[int, int]] = {}  # index: (term, checksum)
        self.seen_in: dict[int, int] = {}  # index: term of the server that was first seen to have committed it
        self.digests: dict[int, int] = {}
        self.era = 0  # a recovery by hand begins a new one: what came before may be lost
        self.tasks: set[asyncio.Task[Any]] = set()
        self.broken: BaseException | None = None

    def note(self, what: str) -> None:
        self.trace.append(f"{asyncio.get_running_loop().time():.6f} {what}")

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self.broken is None:
            self.broken = error

    def make_network(self, rng: random.Random) -> Any:
        return Network(rng)

    def make_server(self, node_id: str, peers: dict[str, str], *, joins: bool) -> SimServer:
        return SimServer(self, node_id, peers, joins=joins)

    def add(self, node_id: str) -> SimServer:
        server = self.make_server(node_id, {}, joins=True)
        self.servers[node_id] = server
        return server

    def recover(self, names: list[str]) -> None:
        """All others are gone for good; a person names these servers in `peers.json` on each, and starts them."""
        left = [self.servers[name] for name in names]
        kept = min(server.kept_index for server in left)
        for server in self.servers.values():
            server.crash()
        for name in set(self.servers) - set(names):
            del self.servers[name]
        self.network.forget()
        peers = encode_peers(initial({name: f"{name}:8300" for name in names}))
        for server in left:
            server.disk.put("peers.json", peers)
        self.era += 1
        self.leaders.clear()
        for seen in (self.committed, self.seen_in, self.digests):
            for index in [index for index in seen if index > kept]:
                del seen[index]
        self.note(f"recovered with {', '.join(names)}; what is behind entry {kept} may be lost")
        for server in left:
            self.spawn(server.start())

    @property
    def leader(self) -> SimServer | None:
        """The one that leads in the newest term."""
        leading = [server for server in self.servers.values() if server.engine and server.engine.takes_commands]
        return max(leading, key=lambda server: server.log._engine.term, default=None)

    # -- invariants

    def _on_sent(self, sender: str, message: Message) -> None:
        if not isinstance(message, PreVote):
            server = self.servers[sender]
            server.said_term = max(server.said_term, message.term)

    def _on_delivered(self, sender: str, receiver: str, message: Message) -> None:
        if isinstance(message, VoteReply) and message.granted and not message.pre:
            first = self.votes.setdefault((sender, message.incarnation, message.asked), receiver)
            if first != receiver:
                raise Broken(f"{sender} voted twice in term {message.asked}")
        self.check()

    def check(self) -> None:
        if self.broken is not None:
            raise self.broken
        for server in self.servers.values():
            engine = server.engine
            if server.up and isinstance(server.log._failure, InternalError):
                raise Broken(f"the engine of {server.node_id} failed: {server.log._failure}")
            if engine is not None and not engine._halted:
                self._check_server(server, engine)

    def _check_server(self, server: SimServer, engine: Engine) -> None:
        name, term = server.node_id, engine.term
        floor = (term, engine.commit_index, engine.applied_index)
        if floor == server.floor and engine.state_name != "Leader":
            return
        journal = engine._journal
        if engine.state_name == "Leader":
            if term not in self.leaders:
                self.note(f"{name} leads in term {term}")
                self.leaders[term] = name
                self._check_complete(server, engine)
            if self.leaders[term] != name:
                raise Broken(f"{name} and {self.leaders[term]} lead in term {term}")
        before = server.floor
        # After a full disk a server may forget what it learned to be committed, never what it applied.
        if floor[0] < before[0] or floor[2] < before[2]:
            raise Broken(f"{name} goes back from {before} to {floor} (term, commit, applied)")
        server.floor = floor
        for index in range(max(before[1] + 1, journal[0][1] + 1), min(engine.commit_index, engine.last_index) + 1):
            payload, _, entry_term = journal[index - journal[0][1]]
            entry = entry_term, zlib.crc32(payload)
            if self.committed.setdefault(index, entry) != entry:
                raise Broken(f"{name} commits {entry} at {index}, another {self.committed[index]}")
            self.seen_in.setdefault(index, term)
        digest = server.machine.digest
        if server.machine.broken:
            raise Broken(f"{name}: {server.machine.broken}")
        if self.digests.setdefault(engine.applied_index, digest) != digest:
            raise Broken(f"{name} differs at entry {engine.applied_index}")

    def _check_complete(self, server: SimServer, engine: Engine) -> None:
        journal = engine._journal
        for index, seen_in in self.seen_in.items():
            if seen_in < engine.term and index > journal[0][1]:
                if index > engine.last_index:
                    raise Broken(f"{server.node_id} leads without entry {index}, which is committed")
                if journal[index - journal[0][1]][2] != self.committed[index][0]:
                    raise Broken(f"{server.node_id} leads with another entry {index} than what is committed")


__all__ = ["SETTINGS", "Broken", "Cluster", "MeshError", "Numbers", "SimServer"]
