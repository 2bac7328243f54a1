"""I/O edge: when to take a snapshot, and taking it without holding the loop.

Source: Ongaro and Ousterhout (2014), section 7; the three settings are Consul's (`raft_snapshot_threshold`,
`raft_snapshot_interval`, `raft_trailing_logs`). hashicorp/raft looks after the interval plus up to as much again, by
chance, so that servers do not all write at once.

The state machine makes its chunks lazily on the loop; this takes them in slices of `slice_s`, lets the loop run for
as long as the slice took, and writes on a thread of its own, so that no commit queues behind a snapshot.

What may be changed: the policy in `due`. The log is cut only after the snapshot's name is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from meshagent.catalog.log import StateMachine
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.telemetry import RaftMetrics
from meshagent.catalog.raft.worker import Worker, run
from meshagent.clock import Clock, Tasks

__all__ = ["Compaction"]

log = logging.getLogger("agent.server.raft")

SLICE_BYTES = 1 << 20  # handed to the writer at once
EARLY_FACTOR = 16  # so many thresholds make a snapshot due before the interval is over: a restart must stay quick
EARLY_SHARE = 10  # ... unless snapshots would then take more than a tenth of the loop's time
NOTES = 32  # places to cut the log at, among the trailing commands


class Compaction:
    """Counts commands, decides, takes the snapshot, has the log cut. Owns `worker`."""

    def __init__(
        self,
        machine: StateMachine,
        journal: Journal,
        worker: Worker,
        *,
        applied: Callable[[], SnapshotId],
        clock: Clock,
        settings: RaftSettings,
        metrics: RaftMetrics,
    ) -> None:
        self._machine = machine
        self._journal = journal
        self._applied = applied  # the last entry that `machine` has
        self._metrics = metrics
        self._tasks = Tasks()
        self._under_way = False
        self._run: asyncio.Task[None] | None = None
        self._worker = worker
        self._clock = clock
        self.settings = settings
        self._commands = 0  # applied since the start of the process
        self._at_snapshot = 0
        self._notes: deque[tuple[int, int]] = deque()  # (entry, commands up to it)
        self._noted = 0
        self._rng: random.Random | None = None
        self._looking: asyncio.Task[None] | None = None
        self._finished_at = clock.monotonic()
        self._loop_s = 0.0  # how long the last one held the loop, in all

    def count(self, index: int, commands: int) -> None:
        """Entry `index` with `commands` commands has been applied."""
        self._commands += commands
        if self._commands - self._noted >= max(1, self.settings.trailing_logs // NOTES):
            self._noted = self._commands
            self._notes.append((index, self._commands))

        if self.due(interval_over=False):
            self.begin()

    def exchanged(self, index: int) -> None:
        """Entry `index` put another state in place: the log up to it is as large as that state, and of no more use."""
        self._notes.clear()
        self._notes.append((index, self._commands - self.settings.trailing_logs))
        self.begin()

    def start(self, rng: random.Random) -> None:
        self._rng = rng
        self._looking = self._tasks.start(self._look(rng), name="raft-compaction")

    def reload(self, settings: RaftSettings) -> None:
        """Take the settings of snapshots; the interval that is running begins anew when it has another length."""
        changed = settings.snapshot_interval_s != self.settings.snapshot_interval_s
        self.settings = settings
        if changed and self._looking is not None and self._rng is not None:
            self._looking.cancel()
            self.start(self._rng)

    async def stop(self) -> None:
        """What is under way is given up."""
        await self._tasks.cancel()
        self._worker.stop()

    async def give_up(self) -> None:
        """Give up what is under way: the state is about to be replaced."""
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)

    async def _look(self, rng: random.Random) -> None:
        while True:
            await self._clock.sleep(self.pause_s(rng))
            if self.due(interval_over=True):
                self.begin()

    def begin(self) -> None:
        """Take a snapshot soon, if none is being taken."""
        if not self._under_way:
            self._under_way = True
            self._run = self._tasks.start(self.snapshot(), name="raft-snapshot")

    async def snapshot(self) -> None:
        """Take a snapshot now, and cut the log behind it."""
        self._under_way = True
        started = self._clock.monotonic()
        snapshot = self._applied()
        try:
            size = await self.take(snapshot, self._machine.snapshot())
        except OSError as error:
            log.error("no snapshot could be written: %s", error)
            self._metrics.incr("raft.snapshot.failed")
        else:
            took_ms = (self._clock.monotonic() - started) * 1000
            self._metrics.sample("raft.snapshot.takeSnapshot", took_ms)
            self._metrics.sample("raft.snapshot.persist", took_ms)
            self._metrics.sample("fsm.persist", took_ms)
            log.info("snapshot at entry %d, %d bytes", snapshot.index, size)
        finally:
            self._under_way = False

    def pause_s(self, rng: random.Random) -> float:
        """How long until the next look."""
        return self.settings.snapshot_interval_s * (1 + rng.random())

    def due(self, *, interval_over: bool) -> bool:
        since = self._commands - self._at_snapshot
        threshold = self.settings.snapshot_threshold
        if interval_over:
            return since >= threshold
        rested = self._clock.monotonic() - self._finished_at >= EARLY_SHARE * self._loop_s
        return since >= EARLY_FACTOR * threshold and rested

    async def take(self, snapshot: SnapshotId, chunks: Iterator[bytes]) -> int:
        """Write `chunks`, the state at `snapshot`, then cut the log; the size in bytes.

        Raises:
            OSError: the disk took it not; the older snapshot and the whole log stay.
        """
        commands = self._commands
        monotonic = self._clock.monotonic
        writer = await run(self._worker, partial(self._journal.begin_snapshot, snapshot))
        try:
            held = 0.0
            more = True
            while more:
                started = monotonic()
                slice_, more = self._slice(chunks, started + self.settings.slice_s)
                took = monotonic() - started
                held += took
                await run(self._worker, partial(writer.write, slice_))
                if more and took > 0:
                    await self._clock.sleep(took)
            size = await run(self._worker, writer.finish)
        except BaseException:
            self._worker.submit(writer.abandon, _log_failure)
            raise
        self._loop_s = held
        self._finished_at = monotonic()
        self._at_snapshot = commands
        await self._journal.end_snapshot(snapshot, self._keep_from(commands))
        return size

    def _slice(self, chunks: Iterator[bytes], until: float) -> tuple[list[bytes], bool]:
        taken: list[bytes] = []
        size = 0
        for chunk in chunks:
            taken.append(chunk)
            size += len(chunk)
            if size >= SLICE_BYTES or self._clock.monotonic() >= until:
                return taken, True
        return taken, False

    def _keep_from(self, commands: int) -> int:
        """The entry up to which the log may go, so that `trailing_logs` commands before the snapshot stay."""
        keep_from = 0
        while self._notes and self._notes[0][1] <= commands - self.settings.trailing_logs:
            keep_from = self._notes.popleft()[0]
        return keep_from


def _log_failure(_: object, error: BaseException | None) -> None:
    if error is not None:
        log.warning("could not remove an unfinished snapshot: %s", error)
