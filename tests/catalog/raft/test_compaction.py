"""When a snapshot is due, and that taking one never holds the loop for longer than a slice."""

from __future__ import annotations

import random
from collections.abc import Iterator

from meshtest.disk import SimDisk
from meshtest.logs import History, InlineWorker, turns

from meshagent.catalog.raft.compaction import EARLY_FACTOR, Compaction
from meshagent.catalog.raft.journal import FileJournal
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId, read_snapshot
from meshagent.catalog.raft.telemetry import NoMetrics
from meshagent.clock import SystemClock, VirtualClock


class Stopwatch:
    """A clock that moves a millisecond whenever it is read, and remembers how long it was asked to sleep."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.time += 0.001
        return self.time

    now = SystemClock.now

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        self.time += delay_s


def compaction(disk: SimDisk, clock: object, **settings: int) -> Compaction:
    journal = FileJournal(disk, InlineWorker())
    return Compaction(
        History(),
        journal,
        InlineWorker(),
        applied=lambda: SnapshotId(9, 2),
        clock=clock,  # type: ignore[arg-type]
        settings=RaftSettings(**settings),
        metrics=NoMetrics(),
    )


def test_it_is_due_after_the_interval_from_the_threshold_on() -> None:
    counts = compaction(SimDisk(), VirtualClock(), snapshot_threshold=100)
    counts.count(2, 99)
    assert not counts.due(interval_over=True)
    counts.count(3, 1)
    assert counts.due(interval_over=True)
    assert not counts.due(interval_over=False)


async def test_it_is_taken_early_when_a_restart_would_take_long() -> None:
    disk = SimDisk()
    counts = compaction(disk, VirtualClock(), snapshot_threshold=100)
    counts.count(2, 100 * EARLY_FACTOR - 1)
    await turns()
    assert list(disk) == []
    counts.count(3, 1)
    counts.count(4, 1)
    await turns(20)
    assert list(disk) == [SnapshotId(9, 2).name]
    await counts.stop()


async def test_it_is_not_due_early_while_snapshots_would_take_the_loop_for_themselves() -> None:
    clock = Stopwatch()
    counts = compaction(SimDisk(), clock, snapshot_threshold=100)
    await counts.take(SnapshotId(2, 1), iter([b"x"] * 500))
    counts.count(3, 100 * EARLY_FACTOR)
    assert not counts.due(interval_over=False)
    clock.time += 10
    assert counts.due(interval_over=False)


def test_the_pause_lies_between_one_and_two_intervals() -> None:
    counts = compaction(SimDisk(), VirtualClock(), snapshot_interval_s=30)
    pauses = [counts.pause_s(random.Random(seed)) for seed in range(50)]
    assert 30 <= min(pauses) < 40 < 50 < max(pauses) <= 60


async def test_chunks_are_taken_in_slices_and_the_loop_gets_as_much_time_in_between() -> None:
    clock, disk = Stopwatch(), SimDisk()
    largest = 0.0
    resumed = 0.0

    def chunks() -> Iterator[bytes]:
        nonlocal largest, resumed
        for number in range(100):
            if clock.slept and clock.slept[-1] != resumed:
                resumed = clock.slept[-1]
            largest = max(largest, resumed)
            yield b"%d" % number

    await compaction(disk, clock, slice_s=0.004).take(SnapshotId(9, 2), chunks())
    assert len(clock.slept) > 15
    assert 0.003 < largest < 0.008
    assert list(read_snapshot(disk, SnapshotId(9, 2))) == [b"%d" % number for number in range(100)]


async def test_large_chunks_are_handed_to_the_disk_at_once() -> None:
    disk = SimDisk()
    await compaction(disk, VirtualClock()).take(SnapshotId(9, 2), iter([bytes(600_000)] * 4))
    writes = [name for operation, name in disk.trace if operation == "write"]
    assert len(writes) == 1 + 2 + 1 + 1  # header, two slices of two, the last empty one, the end


async def test_a_reload_is_taken_at_once() -> None:
    clock = VirtualClock()
    counts = compaction(SimDisk(), clock, snapshot_threshold=100, snapshot_interval_s=36_000, trailing_logs=10_240)
    begun: list[float] = []
    counts.begin = lambda: begun.append(clock.monotonic())  # type: ignore[method-assign]
    counts.start(random.Random(1))
    counts.count(2, 60)
    await clock.advance(100)
    counts.reload(RaftSettings(snapshot_threshold=50, snapshot_interval_s=5, trailing_logs=64))
    await clock.advance(11)
    assert begun
    assert begun[0] <= 110
    for index in range(3, 12):
        counts.count(index, 4)
    assert len(counts._notes) >= 9  # every second command of the 64 that stay is a place to cut at
    await counts.stop()


async def test_a_reload_of_other_settings_does_not_put_the_look_off() -> None:
    clock = VirtualClock()
    counts = compaction(SimDisk(), clock, snapshot_threshold=100, snapshot_interval_s=30)
    begun: list[float] = []
    counts.begin = lambda: begun.append(clock.monotonic())  # type: ignore[method-assign]
    counts.start(random.Random(1))
    counts.count(2, 60)
    for _ in range(70):
        counts.reload(RaftSettings(snapshot_threshold=50, snapshot_interval_s=30))
        await clock.advance(1)
    assert begun
    await counts.stop()
