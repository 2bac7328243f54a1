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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meshagent.catalog.log import StateMachine
from meshagent.catalog.raft.applying import Applier
from meshagent.catalog.raft.batch import cut_batches, decode_batch, encode_batch
from meshagent.catalog.raft.compaction import Compaction
from meshagent.catalog.raft.disk import Disk, FileDisk
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import FileJournal, Journal, MemoryJournal
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.seams import Transport
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.stats import raft_stats
from meshagent.catalog.raft.telemetry import NoMetrics, RaftMetrics
from meshagent.catalog.raft.transport import Alone
from meshagent.catalog.raft.worker import ThreadWorker, Worker
from meshagent.clock import Clock, Tasks
from meshagent.errors import InternalError, MeshError, NoLeader, Unavailable

__all__ = ["RaftLog", "open_raft_log"]

log = logging.getLogger("agent.server.raft")

HEALING_ERRNOS = {errno.ENOSPC, errno.EDQUOT}  # a full disk gets space again; other errors need a person
HEAL_PAUSE_S = 1.0
Future = asyncio.Future[Any]


class RaftLog:
    """Made on the running loop. A server alone leads when `start` returns; one of several takes part in the election.

    `node_id` names this server to the others; `address` is its server RPC address, `host:port`. `peers` maps the
    other servers' node ids to their addresses.
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
        metrics: RaftMetrics | None = None,
        snapshot_worker: Worker | None = None,
    ) -> None:
        self._machine = machine
        self._applier = Applier(machine)
        self._node_id = node_id
        self._addresses = {**(peers or {}), node_id: address}
        self._peers = sorted(peers or {})
        self._journal = journal
        self._transport = transport
        self._clock = clock
        self._rng = rng
        self._settings = settings or RaftSettings()
        self._metrics: RaftMetrics = metrics or NoMetrics()
        self._snapshot_worker = snapshot_worker
        self._tasks = Tasks()
        self._engine: Engine
        self._compaction: Compaction | None = None
        self._loop = asyncio.get_running_loop()
        self._commands: list[bytes] = []  # proposed and not yet an entry
        self._futures: list[Future] = []
        self._gathering = False
        self._waiting: dict[int, tuple[int, float, list[bytes], list[Future]]] = {}  # index: (term, when, ...)
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
        if journal.snapshot.term:
            started = self._clock.monotonic()
            self._machine.restore(journal.read_snapshot())
            self._metrics.gauge("raft.fsm.lastRestoreDuration", (self._clock.monotonic() - started) * 1000)
        self._engine = Engine(
            self._node_id,
            self._peers,
            journal=journal,
            transport=self._transport or Alone(),
            clock=self._clock,
            rng=self._rng,
            settings=self._settings,
            apply=self._apply,
            on_state=self._on_state,
        )
        if journal.keeps_snapshots:
            engine = self._engine
            self._compaction = Compaction(
                self._machine,
                journal,
                self._snapshot_worker or ThreadWorker(self._loop, name="raft-snapshot"),
                applied=lambda: SnapshotId(engine.applied_index, engine.applied_term),
                clock=self._clock,
                settings=self._settings,
                metrics=self._metrics,
            )
            self._compaction.start(self._rng)
        self._refusal = None
        self._started = True
        self._tick()
        if self._peers:
            self._tasks.start(self._keep_time(), name="raft-time")
        else:
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
        while (self._waiting or self._commands) and self._engine.takes_commands:
            self._changed.clear()
            await self._changed.wait()
        self._refuse(ending)
        await self._tasks.cancel()
        if self._compaction is not None:
            await self._compaction.stop()
        await self._journal.close()

    def propose(self, command: bytes) -> Future:
        future = self._loop.create_future()
        if self._refusal is not None:
            future.set_exception(_again(self._refusal))
            return future
        self._commands.append(command)
        self._futures.append(future)
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._gather)
        return future

    async def barrier(self) -> None:
        if not self.is_leader:
            raise NoLeader
        if self._peers:
            raise NoLeader("confirming leadership with a quorum needs the cluster transport")

    @property
    def is_leader(self) -> bool:
        return self._started and self._engine.leads

    @property
    def leader(self) -> str:
        leader = self._engine.leader_id if self._started else None
        return "" if leader is None else self._addresses.get(leader, "")

    @property
    def last_contact_ms(self) -> int:
        return 0

    def stats(self) -> dict[str, str]:
        return raft_stats(self._engine, self._journal.snapshot, self._addresses) if self._started else {}

    def reload(self, settings: RaftSettings) -> None:
        """Take the snapshot settings of `settings` (surface row G4); the others need a restart."""
        if self._compaction is not None:
            self._compaction.settings = settings

    # -- proposals become entries

    def _gather(self) -> None:
        """What has been proposed becomes entries, unless the disk is at work: then it waits for company."""
        self._gathering = False
        if not self._commands:
            return
        if not self._engine.takes_commands:
            self._fail(self._take(), NoLeader())
            return
        if self._waiting and self._journal.durable_mark != self._journal.mark:
            return  # `_on_durable` comes back here
        commands, futures = self._take()
        limit = self._settings.max_entry_commands
        if len(commands) > limit or sum(map(len, commands)) > self._settings.max_entry_bytes:
            for begin, end in cut_batches(commands, limit, self._settings.max_entry_bytes):
                self._append(commands[begin:end], futures[begin:end])
        else:
            self._append(commands, futures)
        self._journal.sync()

    def _append(self, commands: list[bytes], futures: list[Future]) -> None:
        index = self._engine.append(encode_batch(commands))
        self._waiting[index] = (self._engine.term, self._clock.monotonic(), commands, futures)

    def _take(self) -> tuple[list[bytes], list[Future]]:
        taken = self._commands, self._futures
        self._commands, self._futures = [], []
        return taken

    # -- entries become results

    def _on_durable(self) -> None:
        if self._commands:
            self._gather()
        self._tick()

    def _tick(self) -> None:
        self._ticking = False
        engine = self._engine
        before = engine.applied_index
        try:
            engine.tick()
        except MeshError as error:  # an entry that this program cannot read: going on would lose it
            log.critical("raft: stopped at entry %d: %s", engine.applied_index + 1, error)
            self._stop_serving(error)
            return
        except Exception:
            log.critical("raft: the engine failed at entry %d", engine.applied_index + 1, exc_info=True)
            self._stop_serving(InternalError("the Raft engine failed: see the log of this server"))
            return
        applied = engine.applied_index
        if applied != before:
            self._applier.flush()
            self._journal.trim(applied)
            self._metrics.gauge("raft.applied_index", applied)
            self._metrics.gauge("raft.last_index", engine.last_index)
            self._changed.set()
        if engine.has_backlog and not self._ticking:
            self._ticking = True
            self._loop.call_soon(self._tick)
        self._journal.sync()

    def _apply(self, entry: Entry) -> None:
        """One committed entry. Raises CorruptData when it cannot be read."""
        payload, index, term = entry
        started = self._clock.monotonic()
        waiting = self._waiting.pop(index, None)
        if waiting is not None and waiting[0] == term:
            _, proposed, commands, futures = waiting
            self._metrics.incr("raft.apply", len(commands))
            self._metrics.sample("raft.commitTime", (started - proposed) * 1000)
            self._applier.answer(commands, futures)
        else:
            if waiting is not None:  # another leader's entry took the place of ours
                self._fail(waiting[2:], NoLeader("leadership lost while committing log"))
            commands = [command for _, command in decode_batch(payload)]
            self._applier.replay(commands)
        if commands:
            self._metrics.sample("raft.commitNumLogs", len(commands))
            self._metrics.sample("raft.fsm.apply", (self._clock.monotonic() - started) * 1000)
        if self._compaction is not None:
            self._compaction.count(index, len(commands))

    def _on_state(self, state: str) -> None:
        self._metrics.incr(f"raft.state.{state.lower()}")
        log.info("raft: entering %s state", state.lower())

    # -- failures

    def _on_failure(self, error: BaseException) -> None:
        """The disk did not take the log. Nothing of it is acknowledged, and nothing more accepted."""
        log.critical("raft: the log cannot be written, so writes are refused: %s (check the disk)", error)
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
        log.warning("raft: the disk takes writes again")
        self._failure = self._refusal = None
        self._engine.resume()
        self._tick()

    def _stop_serving(self, error: MeshError) -> None:
        self._engine.halt()
        self._failure = error
        self._refuse(error)
        self._changed.set()

    def _refuse(self, error: MeshError) -> None:
        self._refusal = error
        self._fail(self._take(), error)
        for _, _, commands, futures in self._waiting.values():
            self._fail((commands, futures), error)
        self._waiting.clear()

    def _fail(self, waiting: tuple[list[bytes], list[Future]], error: MeshError) -> None:
        for future in waiting[1]:
            if not future.done():
                future.set_exception(_again(error))

    # -- background

    async def _keep_time(self) -> None:
        """Tick at the engine's deadlines; between them this server does nothing of its own accord."""
        beat = self._settings.heartbeat_s * self._settings.multiplier
        while True:
            deadline = self._engine.deadline()
            now = self._clock.monotonic()
            await self._clock.sleep(beat if deadline is None else max(0.0, min(deadline - now, beat)))
            self._tick()

    async def snapshot(self) -> None:
        """Take a snapshot now and cut the log behind it (nothing to do in memory)."""
        if self._compaction is not None:
            await self._compaction.snapshot()


def _again(error: MeshError) -> MeshError:
    """The same error for one more proposer: raising one object many times would grow its traceback without end."""
    return error.__class__(str(error))


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
) -> RaftLog:
    """The log of a server alone, in `data_dir`/raft, or in memory when there is no data directory (`-dev`).

    Call it on the running loop. Raises Unavailable when another process holds the directory.
    """
    settings = settings or RaftSettings()
    journal: Journal
    if data_dir is None:
        journal = MemoryJournal(window_bytes=ALONE_WINDOW_BYTES)
    else:
        journal = FileJournal(
            open_disk(data_dir / "raft"),
            ThreadWorker(asyncio.get_running_loop(), name="raft-journal"),
            segment_bytes=settings.segment_bytes,
            reserve_bytes=settings.reserve_bytes,
            window_bytes=ALONE_WINDOW_BYTES,
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
    )


ALONE_WINDOW_BYTES = 256 << 10  # nobody asks for old entries where there are no peers
