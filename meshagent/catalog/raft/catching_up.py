"""I/O edge: a server that is behind is brought nearer: by the log on disk, or by the state as a whole.

Source: Ongaro and Ousterhout (2014), section 7. `installing.py` carries a state; this decides which of the two it is,
and puts a state that came in the place of the own one.

What may be changed: which way is tried first. A state is installed only when it is whole and on disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from meshagent.catalog.raft.compaction import Compaction
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.installing import SnapshotReceiver, SnapshotSender
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.messages import InstallSnapshot, SnapshotReply
from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.state import ReplicatedState, StateRestoring
from meshagent.catalog.raft.telemetry import RaftMetrics
from meshagent.catalog.raft.transport import Transport
from meshagent.catalog.raft.worker import Worker
from meshagent.clock import Clock, Tasks
from meshagent.errors import CorruptData

__all__ = ["CatchingUp"]

log = logging.getLogger("agent.server.raft")


class CatchingUp:
    """`Courier` of the engine. `engine` is asked for when it is there; `deposed`, `tick_soon` are the driver's."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        state: ReplicatedState,
        journal: Journal,
        transport: Transport,
        restorer: Restorer,
        worker: Worker,
        *,
        compaction: Callable[[], Compaction | None],
        clock: Clock,
        tasks: Tasks,
        settings: RaftSettings,
        metrics: RaftMetrics,
        failed: Callable[[], bool],
        deposed: Callable[[], None],
        tick_soon: Callable[[], None],
        aside: Callable[[Iterator[object]], None],
    ) -> None:
        self._engine = engine
        self._state = state
        self._journal = journal
        self._restorer = restorer
        self._compaction = compaction
        self._clock = clock
        self._tasks = tasks
        self._settings = settings
        self._metrics = metrics
        self._failed = failed
        self._tick_soon = tick_soon
        self._aside = aside
        self.sender = SnapshotSender(engine, state, transport, clock, tasks, settings)
        self.receiver = SnapshotReceiver(engine, journal, worker, tasks, state.begin_restore, self._install, aside)
        self.on_deposed = deposed
        self.on_chunk: Callable[[InstallSnapshot], None] = self.receiver.on_chunk
        self.on_reply: Callable[[SnapshotReply], None] = self.sender.on_reply

    def on_behind(self, node_id: str) -> None:
        self._tasks.start(self._catch_up(node_id, self._engine().term), name="raft-catch-up")

    async def _catch_up(self, node_id: str, term: int) -> None:
        engine = self._engine()
        needed = engine.needs(node_id)
        try:
            entries = await self._journal.read_back(needed)
        except (CorruptData, OSError) as error:
            log.error("the log on disk cannot be sent to server %s: %s", node_id, error)
            entries = []
        if engine.term != term or not engine.takes_commands:
            engine.snapshot_failed(node_id)
        elif len(entries) > 1 and engine.needs(node_id) == needed:
            engine.supply(node_id, entries)
        elif engine.needs(node_id) == needed:
            self.sender.begin(node_id)
        else:
            engine.snapshot_failed(node_id)

    async def _install(self, snapshot: SnapshotId, restoring: StateRestoring) -> bool:
        """Replace state and log by the leader's; they are whole and on disk. False when that came too late.

        Raises:
            CorruptData: nothing has changed.
        """
        engine = self._engine()
        compaction = self._compaction()
        if compaction is not None:
            await compaction.give_up()
        if engine.commit_index >= snapshot.index or self._failed():
            return False
        started = self._clock.monotonic()
        restoring.finish()
        old = restoring.take_place()
        self._aside(old)
        self._journal.install(snapshot)
        engine.installed(snapshot, self._state.restored or (snapshot.index, engine.configuration))
        self._state.flush()
        took_ms = (self._clock.monotonic() - started) * 1000
        self._metrics.sample("raft.rpc.installSnapshot", took_ms)
        self._metrics.sample("raft.fsm.restore", took_ms)
        log.info("took the leader's state at entry %d", snapshot.index)
        self._tick_soon()
        return True
