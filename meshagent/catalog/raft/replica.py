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
import random
from collections.abc import Callable, Iterator
from typing import Any

from meshagent.catalog.log import Answer, StateMachine
from meshagent.catalog.raft.applying import Applier
from meshagent.catalog.raft.batch import encode_batch
from meshagent.catalog.raft.catching_up import CatchingUp
from meshagent.catalog.raft.committed import Committed
from meshagent.catalog.raft.compaction import Compaction
from meshagent.catalog.raft.configuration import Configuration, Server, initial
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.membership import Membership
from meshagent.catalog.raft.messages import Message
from meshagent.catalog.raft.operated import Operated
from meshagent.catalog.raft.proposals import Batch, Proposals
from meshagent.catalog.raft.putting_back import PuttingBack
from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.slices import in_slices
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.catalog.raft.telemetry import NoMetrics, RaftMetrics
from meshagent.catalog.raft.transport import Alone, Transport
from meshagent.catalog.raft.waiting import Waiting, again
from meshagent.catalog.raft.worker import ThreadWorker, Worker
from meshagent.clock import Clock, Tasks
from meshagent.errors import InternalError, MeshError, NoLeader, Unavailable

__all__ = ["RaftLog"]

log = logging.getLogger("agent.server.raft")

HEALING_ERRNOS = {errno.ENOSPC, errno.EDQUOT}  # a full disk gets space again; other errors need a person
HEAL_PAUSE_S = 1.0
#: So many entries are on their way before what is new waits for company: with more, each is small, and costs as much.
AT_ONCE = 2
COMPANY_S = 0.01  # ... unless they take longer than this: the network is slow, and full pipes are what matters
STOP_WAIT_S = 2.0  # for what is under way to be committed; who proposed it retries elsewhere
Future = asyncio.Future[Any]


class RaftLog(Operated):
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
        self._compaction: Compaction | None = None
        self._membership: Membership
        self._loop = asyncio.get_running_loop()
        self._proposals = Proposals(self._settings)
        self._gathering = False
        self._waiters = Waiting()
        self._standing: tuple[int, int, str | None, bool] = (-1, 0, None, False)
        self._ever_heard = False
        #: Called, on the loop, when role, term or leader has changed, or when a new leader is ready.
        self.on_change: list[Callable[[], None]] = []
        self._restorer = Restorer(self._state, rng, self._aside)
        self._putting_back = PuttingBack(self._restorer, self._propose_part, clock)
        self._committed = Committed(self._applier, self._proposals, self._restorer, clock, self._metrics)
        self._time_since = (0, 0.0, 0)  # (the term in which this server leads, since when, log time then)
        self._segment_since = clock.monotonic()  # when the open segment was begun, or opened again
        self._to_apply_since: float | None = None  # since when there is something to apply
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
        worker = self._snapshot_worker or ThreadWorker(self._loop, name="raft-snapshot")
        self._catching_up = CatchingUp(
            lambda: self._engine,
            self._state,
            journal,
            self._transport,
            self._restorer,
            worker,
            compaction=lambda: self._compaction,
            clock=self._clock,
            tasks=self._tasks,
            settings=self._settings,
            metrics=self._metrics,
            failed=lambda: self._failure is not None,
            deposed=self._on_deposed,
            tick_soon=self._tick_soon,
            aside=self._aside,
        )
        engine = self._engine = Engine(
            self._node_id,
            configuration,
            journal=journal,
            transport=self._transport,
            clock=self._clock,
            rng=self._rng,
            settings=self._settings,
            apply=self._committed.apply,
            on_state=self._on_state,
            courier=self._catching_up,
            since_term=since_term,
            metrics=self._metrics,
        )
        self._state.configuration = lambda: engine.configuration_at(engine.applied_index)
        self._membership = Membership(
            Server(self._node_id, self._address, True),
            engine,
            journal,
            self._waiters,
            self._clock,
            stays_alone=self._stays_alone,
            wake=self._wake,
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
            self._committed.compaction = self._compaction
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
        self._on_deposed()
        self._waiters.ended(ending)
        await self._tasks.cancel()
        if self._compaction is not None:
            await self._compaction.stop()
        await self._journal.close()

    async def _drained(self) -> None:
        while self._proposals and self._engine.takes_commands:
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
        new = self._proposals.new
        new.commands.append(command)
        new.ids.append(request_id)
        new.futures.append(answer)
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._gather)

    async def barrier(self) -> None:
        self._metrics.incr("raft.barrier")
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

    def _wake(self) -> None:
        self._keep_watch()
        self._tick_soon()

    # -- the other servers

    def _receive(self, node_id: str, message: Message, epoch: int) -> None:
        if self._failure is None and self._started:
            engine = self._engine
            self._guarded(lambda: engine.receive(node_id, message, epoch))
            if self._to_apply_since is None and engine.commit_index > engine.applied_index:
                self._to_apply_since = self._clock.monotonic()
            self._tick_soon()

    def _on_connection(self, node_id: str) -> None:
        if self._started and self._engine.takes_commands:
            self._engine.replicate()

    def _on_deposed(self) -> None:
        self._settle()  # a leader that removed itself did what it was asked
        lost = NoLeader("leadership lost while committing log")
        self._proposals.fail(lost)
        self._waiters.deposed(lost)
        self._changed.set()

    def _aside(self, steps: Iterator[object]) -> None:
        """Get a state ready, or let go of one that was replaced; all of it at once would hold the loop."""
        self._tasks.start(in_slices(steps, self._clock, self._settings.slice_s), name="raft-aside")

    # -- proposals become entries

    def _gather(self) -> None:
        """What has been proposed becomes entries, unless the disk is at work: then it waits for company."""
        self._gathering = False
        proposals = self._proposals
        if not proposals.new.commands:
            return
        if not self._engine.takes_commands:
            proposals.take().fail(NoLeader())
            return
        if proposals.waiting and self._journal.durable_mark != self._journal.mark:
            return  # `_on_durable` comes back here
        if len(proposals.waiting) >= AT_ONCE and proposals.oldest > self._clock.monotonic() - COMPANY_S:
            return  # `_tick` does when one is applied
        new = proposals.take()
        for batch in proposals.cut(new):
            self._append(batch)
        self._metrics.sample("raft.leader.dispatchNumLogs", len(new.commands))
        if self._dispatched is None:
            self._dispatched = self._clock.monotonic()
        self._engine.replicate()
        self._journal.sync()

    def _append(self, batch: Batch) -> None:
        batch.time_ms = self._log_time_ms()
        index = self._engine.append(encode_batch(batch.commands, batch.ids, batch.time_ms))
        batch.term = self._engine.term
        batch.proposed = self._clock.monotonic()
        self._proposals.waiting[index] = batch

    def _propose_part(self, payload: bytes) -> Future:
        if self._refusal is not None:
            raise again(self._refusal)
        if not self._engine.takes_commands:
            raise NoLeader("leadership lost while restoring a snapshot")
        future = self._loop.create_future()
        index = self._engine.append(payload)
        self._proposals.waiting[index] = Batch([], [], [future], term=self._engine.term)
        self._engine.replicate()
        self._journal.sync()
        return future

    def _log_time_ms(self) -> int:
        """The log's time as this leader counts it: `once.py`."""
        now, term = self._clock.monotonic(), self._engine.term
        if self._time_since[0] != term:
            self._time_since = (term, now, self._state.outcomes.time_ms + 1)
        _, since, time_ms = self._time_since
        return time_ms + int((now - since) * 1000)

    @property
    def oldest_log_age_ms(self) -> int:
        """On a leader: by how much of the log's time the oldest entry that is kept is older than now; otherwise 0."""
        oldest = self._journal.oldest_time_ms if self.is_ready else 0
        return max(0, self._log_time_ms() - oldest) if oldest else 0

    # -- entries become results

    def _on_durable(self) -> None:
        metrics = self._metrics
        if self._dispatched is not None:
            metrics.sample("raft.leader.dispatchLog", (self._clock.monotonic() - self._dispatched) * 1000)
            self._dispatched = None
        for name, count in self._journal.counts().items():
            metrics.incr(f"raft.wal.{name}", count)
            if name == "segment_rotations":
                now = self._clock.monotonic()
                metrics.gauge("raft.wal.last_segment_age_seconds", now - self._segment_since)
                self._segment_since = now
        if self._proposals.new.commands:
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
        began = self._clock.monotonic()
        if not self._guarded(engine.tick):
            return
        applied = engine.applied_index
        if applied != before:
            waited_s = 0.0 if self._to_apply_since is None else began - self._to_apply_since
            self._metrics.sample("raft.fsm.enqueue", waited_s * 1000)
            self._to_apply_since = began if engine.has_backlog else None
            self._applier.flush()
            needed = self._catching_up.sender.oldest_index
            self._journal.trim(applied if needed is None else min(applied, needed))
            self._metrics.gauge("raft.applied_index", applied)
            self._metrics.gauge("raft.last_index", engine.last_index)
            self._changed.set()
            if self._proposals.new.commands:
                self._gather()
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
        self._proposals.take().fail(error)
        self._proposals.fail(error)

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
