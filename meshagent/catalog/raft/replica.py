"""I/O edge: the replicated log of one server: `ReplicatedLog` of `catalog/log.py`, on the engine and a journal.

Source: Ongaro and Ousterhout (2014), section 8; group commit as in Gray and Reuter, "Transaction Processing" (1992).

One turn of the loop: whoever proposes in it adds to a list; at its end the list becomes one log entry, which goes to
the journal's thread. While the disk works the next list fills. When the entry is on disk: the list that waited is
handed over first (the disk must not idle), then the entry commits, its commands are applied, the proposers told.

What may be changed: `propose` runs for every write; keep it to a few appends.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from meshagent.catalog.log import Answer, StateMachine
from meshagent.catalog.raft.applying import Applier
from meshagent.catalog.raft.batch import RESTORE, cut_batches, decode_batch, encode_batch
from meshagent.catalog.raft.compaction import Compaction
from meshagent.catalog.raft.configuration import Configuration, Server, initial
from meshagent.catalog.raft.disk import Disk, FileDisk
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.installing import SnapshotReceiver, SnapshotSender
from meshagent.catalog.raft.journal import WINDOW_BYTES, FileJournal, Journal, MemoryJournal
from meshagent.catalog.raft.members import Members
from meshagent.catalog.raft.messages import InstallSnapshot, Message, SnapshotReply
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.slices import in_slices
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, encode_part
from meshagent.catalog.raft.state import ReplicatedState, StateRestoring
from meshagent.catalog.raft.stats import raft_stats
from meshagent.catalog.raft.telemetry import NoMetrics, RaftMetrics
from meshagent.catalog.raft.transport import Alone, Transport
from meshagent.catalog.raft.waiting import Waiting, again
from meshagent.catalog.raft.worker import ThreadWorker, Worker
from meshagent.clock import Clock, Tasks
from meshagent.errors import Conflict, CorruptData, InternalError, MeshError, NoLeader, Unavailable

__all__ = ["RaftLog", "open_raft_log"]

log = logging.getLogger("agent.server.raft")

HEALING_ERRNOS = {errno.ENOSPC, errno.EDQUOT}  # a full disk gets space again; other errors need a person
HEAL_PAUSE_S = 1.0
MAX_RESTORED_BYTES = 32 << 20  # of one chunk of a state that is put back: an entry takes 64 MiB
RESTORED_AT_ONCE_BYTES = 2 << 20  # on their way; other writes queue behind them
STOP_WAIT_S = 2.0  # for what is under way to be committed; who proposed it retries elsewhere
Future = asyncio.Future[Any]


@dataclass(slots=True)
class _Batch:
    """Commands on their way: what was proposed, under which id, and who waits."""

    commands: list[bytes]
    ids: list[bytes | None]
    futures: list[Answer]
    term: int = 0
    time_ms: int = 0
    proposed: float = 0.0


class RaftLog:
    """Made on the running loop. A server alone leads when `start` returns; one of several takes part in the election.

    `node_id` names this server to the others; `address` is its server RPC address, `host:port`. `peers` maps the
    other servers' node ids to their addresses: with which servers a new cluster begins, the same on each of them. A
    server that `joins` begins with none, and waits until a leader has added it. What is on disk overrides both. One
    that `stays_alone` refuses to be one of several: it forgets its vote when it ends.
    """

    def __init__(
        self,
        machine: StateMachine,
        *,
        node_id: str,
        address: str,
        journal: Journal,
        clock: Clock,
        rng: random.Random,
        settings: RaftSettings | None = None,
        transport: Transport | None = None,
        peers: dict[str, str] | None = None,
        joins: bool = False,
        metrics: RaftMetrics | None = None,
        snapshot_worker: Worker | None = None,
        stays_alone: bool = False,
    ) -> None:
        self._stays_alone = stays_alone
        self._state = ReplicatedState(machine)
        self._applier = Applier(self._state)
        self._node_id = node_id
        self._address = address
        self._initial = Configuration() if joins else initial({**(peers or {}), node_id: address})
        self._journal = journal
        self._transport: Transport = transport or Alone()
        self._clock = clock
        self._rng = rng
        self._settings = settings or RaftSettings()
        self._metrics: RaftMetrics = metrics or NoMetrics()
        self._snapshot_worker = snapshot_worker
        self._tasks = Tasks()
        self._engine: Engine
        self._compaction: Compaction | None = None
        self._loop = asyncio.get_running_loop()
        self._new = _Batch([], [], [])  # proposed and not yet an entry
        self._gathering = False
        self._waiting: dict[int, _Batch] = {}  # by the index of their entry
        self._waiters = Waiting()
        self._standing: tuple[int, int, str | None, bool] = (-1, 0, None, False)
        self._ever_heard = False
        #: Called, on the loop, when role, term or leader has changed, or when a new leader is ready.
        self.on_change: list[Callable[[], None]] = []
        self._restorer = Restorer(self._state, clock, rng, self._settings.slice_s, self._discard)
        self._time_since = (0, 0.0, 0)  # (the term in which this server leads, since when, log time then)
        self._restores = False  # an operator's snapshot is on its way
        self._dispatched: float | None = None  # when the oldest group that is not on disk went there
        self._timeouts = 0
        self._keeps_time = False
        self._refusal: MeshError | None = Unavailable("the log has not been started")
        self._started = False
        self._ticking = False
        self._changed = asyncio.Event()
        self._failure: MeshError | None = None

    # -- ReplicatedLog

    async def start(self) -> None:
        journal = self._journal
        journal.attach(on_durable=self._on_durable, on_failure=self._on_failure)
        await journal.load()
        configuration, since_term = (journal.snapshot.index, self._initial), 0
        if journal.snapshot.term:
            started = self._clock.monotonic()
            self._state.restore(journal.read_snapshot())
            if self._state.restored is not None:
                configuration = self._state.restored
            self._metrics.gauge("raft.fsm.lastRestoreDuration", (self._clock.monotonic() - started) * 1000)
        members = journal.members
        if members is not None and (self._state.restored is None or journal.snapshot.term < members.term):
            configuration, since_term = (1, members.configuration), members.term
        self._engine = Engine(
            self._node_id,
            configuration,
            journal=journal,
            transport=self._transport,
            clock=self._clock,
            rng=self._rng,
            settings=self._settings,
            apply=self._apply,
            on_state=self._on_state,
            courier=self,
            since_term=since_term,
        )
        engine = self._engine
        self._state.configuration = lambda: engine.configuration_at(engine.applied_index)
        worker = self._snapshot_worker or ThreadWorker(self._loop, name="raft-snapshot")
        self._sender = SnapshotSender(
            lambda: engine, self._state, self._transport, self._clock, self._tasks, self._settings
        )
        self._receiver = SnapshotReceiver(
            lambda: engine, journal, worker, self._tasks, self._state.begin_restore, self._install
        )
        if journal.keeps_snapshots:
            self._compaction = Compaction(
                self._state,
                journal,
                worker,
                applied=lambda: SnapshotId(engine.applied_index, engine.applied_term),
                clock=self._clock,
                settings=self._settings,
                metrics=self._metrics,
            )
            self._compaction.start(self._rng)
        self._refusal = None
        self._started = True
        self._transport.attach(self._receive, self._on_connection)
        self._tick()
        if self._engine.voters != {self._node_id} or self._engine.peer_count:
            self._keep_watch()
        if self._engine.voters == {self._node_id}:
            while not self._engine.leads:
                self._changed.clear()
                await self._changed.wait()
                if self._failure is not None:
                    raise self._failure

    async def stop(self) -> None:
        if not self._started:
            await self._journal.close()
            return
        ending = Unavailable("this server is shutting down")
        self._refusal = self._refusal or ending
        self._gather()
        drained = self._tasks.start(self._drained(), name="raft-drain")
        until = self._tasks.start(self._clock.sleep(STOP_WAIT_S), name="raft-stop")
        await asyncio.wait((drained, until), return_when=asyncio.FIRST_COMPLETED)
        self._refuse(ending)
        self.on_deposed()
        self._waiters.ended(ending)
        await self._tasks.cancel()
        if self._compaction is not None:
            await self._compaction.stop()
        await self._journal.close()

    async def _drained(self) -> None:
        while (self._waiting or self._new.commands) and self._engine.takes_commands:
            self._changed.clear()
            await self._changed.wait()

    def propose(self, command: bytes, request_id: bytes | None = None) -> Future:
        """`request_id`: proposed again under the same id, here or on another server, it is applied once."""
        future = self._loop.create_future()
        self.hand_in(command, request_id, future)
        return future

    def hand_in(self, command: bytes, request_id: bytes | None, answer: Answer) -> None:
        """`propose` for whoever has something to be told already; it may be told of a failure before this returns."""
        if self._refusal is not None:
            answer.set_exception(again(self._refusal))
            return
        new = self._new
        new.commands.append(command)
        new.ids.append(request_id)
        new.futures.append(answer)
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._gather)

    async def barrier(self) -> None:
        await self.confirmed()

    def confirmed(self) -> asyncio.Future[None]:
        """What `barrier` waits for. Raises NoLeader."""
        if not self._started or not self._engine.takes_commands:
            raise NoLeader
        engine = self._engine
        if engine.voters == {self._node_id} and engine.is_ready and engine.applied_index >= engine.commit_index:
            future: asyncio.Future[None] = self._loop.create_future()
            future.set_result(None)
            return future
        self._metrics.incr("raft.verify_leader")
        future = self._waiters.barrier(engine.confirm(), engine.commit_index)
        self._tick_soon()
        return future

    @property
    def applied_index(self) -> int:
        """Index of the last entry that was applied here; 0 before the start."""
        return self._engine.applied_index if self._started else 0

    @property
    def applied_term(self) -> int:
        return self._engine.applied_term if self._started else 0

    @property
    def last_index(self) -> int:
        """Index of the last entry in this server's log; 0 before the start."""
        return self._engine.last_index if self._started else 0

    def when_applied(self, index: int) -> asyncio.Future[None]:
        """Done when the entry at `index` has been applied here. Fails with Unavailable when that will not happen."""
        if self.applied_index < index and self._failure is None and self._started:
            return self._waiters.applied(index)
        future: asyncio.Future[None] = self._loop.create_future()
        if self.applied_index >= index:
            future.set_result(None)
        else:
            future.set_exception(again(self._failure or Unavailable("the log of this server does not run")))
        return future

    async def wait_applied(self, index: int) -> None:
        """The same. Raises Unavailable."""
        await self.when_applied(index)

    @property
    def is_leader(self) -> bool:
        return self._started and self._engine.leads

    @property
    def leader(self) -> str:
        leader = self._engine.leader_id if self._started else None
        if leader == self._node_id:
            return self._address
        server = None if leader is None else self._engine.configuration.get(leader)
        return "" if server is None else server.address

    @property
    def leader_id(self) -> str | None:
        """The node id of the leader that is known here."""
        return self._engine.leader_id if self._started else None

    @property
    def last_contact_ms(self) -> int:
        if not self._started or self._engine.leads:
            return 0
        return int((self._clock.monotonic() - self._engine.heard_at) * 1000)

    @property
    def term(self) -> int:
        return self._engine.term if self._started else 0

    @property
    def is_ready(self) -> bool:
        """Whether this server leads and has applied all that earlier leaders committed, whatever its lease."""
        return self._started and self._engine.is_ready

    @property
    def has_others(self) -> bool:
        """Whether there is another server."""
        return self._started and self._engine.peer_count > 0

    @property
    def has_heard(self) -> bool:
        """Whether it leads, or has heard a leader since its start: before that its state may be years old."""
        return self._ever_heard

    @property
    def has_state(self) -> bool:
        """Whether this server has ever been part of a cluster; known after the start."""
        return self._started and not (self._journal.is_new and not self._engine.configuration.servers)

    @property
    def incarnation(self) -> int:
        """Which data directory this server has (`vote.py`); known after the start."""
        return self._journal.incarnation

    @property
    def servers(self) -> tuple[Server, ...]:
        """The configuration in force here."""
        return self._engine.configuration.servers if self._started else ()

    @property
    def configuration_index(self) -> int:
        """Index of the entry that holds the configuration in force; 0 for that of a new cluster."""
        index = self._engine.configuration_index if self._started else 0
        return index if index > 1 else 0

    def known_index(self, node_id: str) -> int:
        """How much of the log a server is known here to have."""
        return self.last_index if node_id == self._node_id else self.match_index(node_id)

    def match_index(self, node_id: str) -> int:
        """How much of the log another server is known to have (on the leader)."""
        return self._engine.match_index(node_id)

    def stats(self) -> dict[str, str]:
        return raft_stats(self._engine, self._journal.snapshot, self.last_contact_ms) if self._started else {}

    # -- members

    async def bootstrap(self, servers: dict[str, str] | Configuration) -> None:
        """Begin a cluster of `servers` (voters, node id to address; this one among them); for a log that `joins`.

        It is on disk on return; who leads is then decided by election. One server of a new cluster is enough, as the
        others learn it from the leader; where several begin, all must name the same servers.

        Raises:
            Conflict: this server has been part of a cluster already, or is not among `servers`.
            Unavailable: the disk did not take it.
        """
        if not self._started or self._failure is not None:
            raise again(self._failure or Unavailable("the log of this server does not run"))
        if self.has_state:
            raise Conflict("this server has been part of a cluster already: it cannot begin another")
        configuration = servers if isinstance(servers, Configuration) else initial(servers)
        self._check_alone(configuration)
        own = Server(self._node_id, self._address, True, self.incarnation)
        if own not in configuration.servers and replace(own, incarnation=0) not in configuration.servers:
            raise Conflict(f"server {self._node_id} at {self._address} must be one of those that begin, and vote")
        configuration = configuration.having(own)
        try:
            await self._journal.keep_members(Members(0, configuration))
        except OSError as error:
            raise Unavailable(f"the servers could not be written to disk: {error}") from error
        self._engine.bootstrap(configuration)
        self._keep_watch()
        self._tick_soon()

    async def add_server(self, node_id: str, address: str, *, voter: bool = False) -> None:
        """Add a server without a vote, promote one that has caught up, or change an address; returns when committed.

        Raises:
            NoLeader, Unavailable: not now. Conflict: not in this order.
        """
        await self._change(lambda engine: engine.add(Server(node_id, address, voter)))

    def _check_alone(self, configuration: Configuration) -> None:
        if self._stays_alone and len(configuration.servers) > 1:
            raise Conflict("a server without a data directory (-dev) forgets its vote: it cannot be one of several")

    async def remove_server(self, node_id: str) -> None:
        """Returns when a quorum of those that remain knows. Raises as `add_server`."""
        await self._change(lambda engine: engine.remove(node_id))

    async def _change(self, wanted: Callable[[Engine], Configuration]) -> None:
        if not self._started or not self._engine.takes_commands:
            raise NoLeader
        engine = self._engine
        configuration = wanted(engine)
        self._check_alone(configuration)
        if configuration == engine.configuration:
            return
        index = engine.change(configuration)
        future = self._waiters.change(index)
        self._keep_watch()
        self._journal.sync()
        self._tick_soon()
        await future

    def transfer_leadership(self, node_id: str | None = None) -> None:
        """Hand over to the voter `node_id`, or to the one that has most of the log. Raises NoLeader, Conflict."""
        if not self._started or not self._engine.takes_commands:
            raise NoLeader
        engine = self._engine
        others = engine.voters - {self._node_id}
        if node_id is None:
            node_id = max(sorted(others), key=engine.match_index, default="")
        if node_id not in others:
            raise Conflict(f"server {node_id!r} is not another one that votes")
        engine.transfer(node_id, self._clock.monotonic())
        self._tick_soon()

    # -- the other servers

    def _receive(self, node_id: str, message: Message, epoch: int) -> None:
        if self._failure is None and self._started:
            self._guarded(lambda: self._engine.receive(node_id, message, epoch))
            self._tick_soon()

    def _on_connection(self, node_id: str) -> None:
        if self._started and self._engine.takes_commands:
            self._engine.replicate()

    def on_behind(self, node_id: str) -> None:
        self._tasks.start(self._catch_up(node_id, self._engine.term), name="raft-catch-up")

    async def _catch_up(self, node_id: str, term: int) -> None:
        """Bring a server that is behind nearer, by the log on disk or by the state."""
        needed = self._engine.needs(node_id)
        try:
            entries = await self._journal.read_back(needed)
        except (CorruptData, OSError) as error:
            log.error("the log on disk cannot be sent to server %s: %s", node_id, error)
            entries = []
        engine = self._engine
        if engine.term != term or not engine.takes_commands:
            engine.snapshot_failed(node_id)
        elif len(entries) > 1 and engine.needs(node_id) == needed:
            engine.supply(node_id, entries)
        elif engine.needs(node_id) == needed:
            self._sender.begin(node_id)
        else:
            engine.snapshot_failed(node_id)

    def on_chunk(self, message: InstallSnapshot) -> None:
        self._receiver.on_chunk(message)

    def on_reply(self, message: SnapshotReply) -> None:
        self._sender.on_reply(message)

    def on_deposed(self) -> None:
        self._settle()  # a leader that removed itself did what it was asked
        lost = NoLeader("leadership lost while committing log")
        for batch in self._waiting.values():
            self._fail(batch, lost)
        self._waiting.clear()
        self._waiters.deposed(lost)
        self._changed.set()

    async def _install(self, snapshot: SnapshotId, restoring: StateRestoring) -> bool:
        """Replace state and log by the leader's; they are whole and on disk. False when that came too late.

        Raises:
            CorruptData: nothing has changed.
        """
        engine = self._engine
        if self._compaction is not None:
            await self._compaction.give_up()
        if engine.commit_index >= snapshot.index or self._failure is not None:
            return False
        started = self._clock.monotonic()
        await in_slices(restoring.settle(), self._clock, self._settings.slice_s)
        if engine.commit_index >= snapshot.index or self._failure is not None:
            return False  # another leader went on from the log that is here
        old = restoring.take_place()
        self._restorer.reset()
        self._discard(old)
        self._journal.install(snapshot)
        engine.installed(snapshot, self._state.restored or (snapshot.index, engine.configuration))
        self._state.flush()
        took_ms = (self._clock.monotonic() - started) * 1000
        self._metrics.sample("raft.rpc.installSnapshot", took_ms)
        self._metrics.sample("raft.fsm.restore", took_ms)
        log.info("took the leader's state at entry %d", snapshot.index)
        self._tick_soon()
        return True

    def _discard(self, old: Iterator[None]) -> None:
        """Let go of a state that was replaced; all of it at once would hold the loop."""
        self._tasks.start(in_slices(old, self._clock, self._settings.slice_s), name="raft-discard")

    def reload(self, settings: RaftSettings) -> None:
        """Take the snapshot settings of `settings` (surface row G4); the others need a restart."""
        if self._compaction is not None:
            self._compaction.reload(settings)

    # -- proposals become entries

    def _gather(self) -> None:
        """What has been proposed becomes entries, unless the disk is at work: then it waits for company."""
        self._gathering = False
        if not self._new.commands:
            return
        if not self._engine.takes_commands:
            self._fail(self._take(), NoLeader())
            return
        if self._waiting and self._journal.durable_mark != self._journal.mark:
            return  # `_on_durable` comes back here
        new = self._take()
        limit = self._settings.max_entry_commands
        if len(new.commands) > limit or sum(map(len, new.commands)) > self._settings.max_entry_bytes:
            for begin, end in cut_batches(new.commands, limit, self._settings.max_entry_bytes):
                self._append(_Batch(new.commands[begin:end], new.ids[begin:end], new.futures[begin:end]))
        else:
            self._append(new)
        self._metrics.sample("raft.leader.dispatchNumLogs", len(new.commands))
        if self._dispatched is None:
            self._dispatched = self._clock.monotonic()
        self._engine.replicate()
        self._journal.sync()

    def _append(self, batch: _Batch) -> None:
        batch.time_ms = self._log_time_ms()
        index = self._engine.append(encode_batch(batch.commands, batch.ids, batch.time_ms))
        batch.term = self._engine.term
        batch.proposed = self._clock.monotonic()
        self._waiting[index] = batch

    def _log_time_ms(self) -> int:
        """The log's time as this leader counts it: `once.py`."""
        now, term = self._clock.monotonic(), self._engine.term
        if self._time_since[0] != term:
            self._time_since = (term, now, self._state.outcomes.time_ms + 1)
        _, since, time_ms = self._time_since
        return time_ms + int((now - since) * 1000)

    def _take(self) -> _Batch:
        taken, self._new = self._new, _Batch([], [], [])
        return taken

    # -- entries become results

    def _on_durable(self) -> None:
        metrics = self._metrics
        if self._dispatched is not None:
            metrics.sample("raft.leader.dispatchLog", (self._clock.monotonic() - self._dispatched) * 1000)
            self._dispatched = None
        for name, count in self._journal.counts().items():
            metrics.incr(f"raft.wal.{name}", count)
        if self._new.commands:
            self._gather()
        self._tick()

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._loop.call_soon(self._tick_now)

    def _tick_now(self) -> None:
        self._ticking = False  # only here: a tick for another reason must not lead to two of these in a row
        self._tick()

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Let the engine do `step`; False when it cannot go on."""
        engine = self._engine
        try:
            step()
        except MeshError as error:  # an entry that this program cannot read: going on would lose it
            log.critical("stopped at entry %d: %s", engine.applied_index + 1, error)
            self._stop_serving(error)
            return False
        except Exception:
            log.critical("the engine failed at entry %d", engine.applied_index + 1, exc_info=True)
            self._stop_serving(InternalError("the Raft engine failed: see the log of this server"))
            return False
        return True

    def _tick(self) -> None:
        engine = self._engine
        before = engine.applied_index
        if not self._guarded(engine.tick):
            return
        applied = engine.applied_index
        if applied != before:
            self._applier.flush()
            needed = self._sender.oldest_index
            self._journal.trim(applied if needed is None else min(applied, needed))
            self._metrics.gauge("raft.applied_index", applied)
            self._metrics.gauge("raft.last_index", engine.last_index)
            self._changed.set()
        if self._waiters:
            self._settle()
        if engine.is_ready and engine.takes_commands and self._restorer.is_orphaned(engine.term):
            engine.append(self._restorer.throw_away(engine.term))
            engine.replicate()
        if engine.has_backlog:
            self._tick_soon()
        if engine.timeouts != self._timeouts:
            self._timeouts = engine.timeouts
            self._metrics.incr("raft.transition.heartbeat_timeout")
        self._journal.sync()
        self._note_standing()

    def _note_standing(self) -> None:
        """Tell who wants to know of a change of role, term or leader. Never from within the engine."""
        engine = self._engine
        standing = (engine.role, engine.term, engine.leader_id, engine.is_ready)
        if standing == self._standing:
            return
        self._standing = standing
        self._ever_heard = self._ever_heard or engine.leader_id is not None
        for listener in self.on_change:
            listener()

    def _settle(self) -> None:
        engine = self._engine
        if engine.is_ready:
            self._waiters.confirmed(engine.confirmed_round, engine.applied_index)
        self._waiters.settle(committed=engine.commit_index, applied=engine.applied_index)

    def _apply(self, entry: Entry) -> bool:
        """One committed entry; False when it must be gone on with. Raises CorruptData when it cannot be read."""
        payload, index, term = entry
        if payload[0] == RESTORE:
            return self._apply_restore(entry)
        started = self._clock.monotonic()
        batch = self._waiting.pop(index, None)
        if batch is not None and batch.term == term:
            count = len(batch.commands)
            self._metrics.incr("raft.apply", count)
            self._metrics.sample("raft.commitTime", (started - batch.proposed) * 1000)
            self._applier.answer(batch.commands, batch.ids, batch.futures, batch.time_ms)
        else:
            if batch is not None:  # another leader's entry took the place of ours
                self._fail(batch, NoLeader("leadership lost while committing log"))
            items, time_ms = decode_batch(payload)
            count = len(items)
            self._applier.replay(items, time_ms)
        if count:
            self._metrics.sample("raft.commitNumLogs", count)
            self._metrics.sample("raft.fsm.apply", (self._clock.monotonic() - started) * 1000)
        if self._compaction is not None:
            self._compaction.count(index, count)
        return True

    def _apply_restore(self, entry: Entry) -> bool:
        payload, index, term = entry
        exchanged = self._restorer.exchanged
        if not self._restorer.apply(payload):
            return False
        if self._restorer.exchanged != exchanged and self._compaction is not None:
            self._compaction.exchanged(index)
        batch = self._waiting.pop(index, None)
        if batch is not None:
            error = self._restorer.error if batch.term == term else NoLeader("leadership lost while committing log")
            if error is not None:
                self._fail(batch, error)
            elif not batch.futures[0].done():
                batch.futures[0].set_result(None)
        return True

    def _on_state(self, state: str) -> None:
        self._metrics.incr(f"raft.state.{state.lower()}")
        log.info("entering %s state", state.lower())

    # -- failures

    def _on_failure(self, error: BaseException) -> None:
        """The disk did not take the log. Nothing of it is acknowledged, and nothing more accepted."""
        log.critical("the log cannot be written, so writes are refused: %s (check the disk)", error)
        self._metrics.incr("raft.storage.failed")
        heals = isinstance(error, OSError) and error.errno in HEALING_ERRNOS
        self._stop_serving(Unavailable(f"the log of this server cannot be written: {error}"))
        if heals:
            self._tasks.start(self._heal(), name="raft-heal")

    async def _heal(self) -> None:
        while True:
            await self._clock.sleep(HEAL_PAUSE_S)
            if await self._journal.heal():
                break
        log.warning("the disk takes writes again")
        self._failure = self._refusal = None
        self._engine.resume()
        self._tick()

    def _stop_serving(self, error: MeshError) -> None:
        self._failure = error
        self._refuse(error)
        self._engine.halt()
        self._waiters.ended(error)
        self._changed.set()
        self._note_standing()

    def _refuse(self, error: MeshError) -> None:
        self._refusal = error
        self._fail(self._take(), error)
        for batch in self._waiting.values():
            self._fail(batch, error)
        self._waiting.clear()

    def _fail(self, batch: _Batch, error: MeshError) -> None:
        for future in batch.futures:
            if not future.done():
                future.set_exception(again(error))

    # -- background

    def _keep_watch(self) -> None:
        if not self._keeps_time:
            self._keeps_time = True
            self._tasks.start(self._keep_time(), name="raft-time")

    async def _keep_time(self) -> None:
        """Tick at the engine's deadlines; between them this server does nothing of its own accord."""
        beat = self._settings.heartbeat_s * self._settings.multiplier
        while True:
            deadline = self._engine.deadline()
            now = self._clock.monotonic()
            await self._clock.sleep(beat if deadline is None else max(0.0, min(deadline - now, beat)))
            self._tick()
            for silence_s in self._engine.silences_s().values():
                self._metrics.sample("raft.leader.lastContact", silence_s * 1000)

    async def snapshot(self) -> None:
        """Take a snapshot now and cut the log behind it (nothing to do in memory)."""
        if self._compaction is not None:
            await self._compaction.snapshot()

    # -- the state as a whole, for an operator

    def save_snapshot(self) -> tuple[SnapshotId, Iterator[bytes]]:
        """(the last entry applied here, the machine's chunks as of now, which are made while iterating)."""
        return SnapshotId(self._engine.applied_index, self._engine.applied_term), self._state.machine.snapshot()

    async def restore_snapshot(self, chunks: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        """Put back the state that the machine's `chunks` are, on every server; returns when it is in use here.

        It goes through the log: whatever happens, all servers have the old state or all have the new one. Indexes go
        on upward. Writes are taken meanwhile, and replaced with everything else.

        Raises:
            NoLeader: this server does not lead, or no more. Conflict: another restore is under way.
            CorruptData: a chunk is damaged or missing; nothing has changed. Unavailable: the disk.
        """
        if not self._started or not self._engine.takes_commands:
            raise NoLeader
        if self._refusal is not None:
            raise again(self._refusal)
        if self._restores:
            raise Conflict("another snapshot is being restored: wait for it to end")
        self._restores = True
        id = self._restorer.begin(self._engine.term)
        try:
            await self._restore(id, _each(chunks))
        finally:
            self._restores = False
            self._restorer.end()  # with the next tick, what is left is thrown away
            self._tick_soon()

    async def _restore(self, id: bytes, chunks: AsyncIterator[bytes]) -> None:
        under_way: deque[tuple[Future, int]] = deque()
        size = number = 0
        try:
            async for chunk in chunks:
                if len(chunk) > MAX_RESTORED_BYTES:
                    raise CorruptData(f"a chunk of {len(chunk)} bytes, the limit is {MAX_RESTORED_BYTES}")
                under_way.append((self._propose_part(encode_part(CHUNK, id, number, chunk)), len(chunk)))
                size += len(chunk)
                number += 1
                while size > RESTORED_AT_ONCE_BYTES:
                    future, taken = under_way.popleft()
                    size -= taken
                    await future
            while under_way:
                await under_way.popleft()[0]
            await self._propose_part(encode_part(EXCHANGE, id, number))
        finally:
            for future, _ in under_way:
                future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _propose_part(self, payload: bytes) -> Future:
        if self._refusal is not None:
            raise again(self._refusal)
        if not self._engine.takes_commands:
            raise NoLeader("leadership lost while restoring a snapshot")
        future = self._loop.create_future()
        index = self._engine.append(payload)
        self._waiting[index] = _Batch([], [], [future], term=self._engine.term)
        self._engine.replicate()
        self._journal.sync()
        return future


async def _each(chunks: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk


def open_raft_log(
    machine: StateMachine,
    data_dir: Path | None,
    *,
    node_id: str,
    address: str,
    clock: Clock,
    rng: random.Random,
    settings: RaftSettings | None = None,
    metrics: RaftMetrics | None = None,
    open_disk: Callable[[Path], Disk] = FileDisk,
    transport: Transport | None = None,
    peers: dict[str, str] | None = None,
    joins: bool = False,
) -> RaftLog:
    """The log in `data_dir`/raft, or in memory when there is no data directory (`-dev`).

    Without `transport` the server is alone; `peers` and `joins` as in `RaftLog`.

    Call it on the running loop. Raises Unavailable when another process holds the directory.
    """
    settings = settings or RaftSettings()
    journal: Journal
    window_bytes = ALONE_WINDOW_BYTES if transport is None else WINDOW_BYTES
    if data_dir is None:
        journal = MemoryJournal(window_bytes=window_bytes)
    else:
        journal = FileJournal(
            open_disk(data_dir / "raft"),
            ThreadWorker(asyncio.get_running_loop(), name="raft-journal"),
            segment_bytes=settings.segment_bytes,
            reserve_bytes=settings.reserve_bytes,
            window_bytes=window_bytes,
            kept_bytes=0 if transport is None else settings.kept_log_bytes,
            new_incarnation=int.from_bytes(os.urandom(8), "big") >> 2 or 1,
        )
    return RaftLog(
        machine,
        node_id=node_id,
        address=address,
        journal=journal,
        clock=clock,
        rng=rng,
        settings=settings,
        metrics=metrics,
        transport=transport,
        peers=peers,
        joins=joins,
        stays_alone=data_dir is None,
    )


ALONE_WINDOW_BYTES = 256 << 10  # nobody asks for old entries where there are no peers
