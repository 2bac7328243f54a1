"""For any crash point, every acknowledged command is there afterwards, in order. The same test catches a lying disk."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.disk import SimDisk
from meshtest.logs import History, InlineWorker, open_on, turns

from meshagent.clock import VirtualClock
from meshagent.errors import CorruptData


class Lost(AssertionError):
    pass


class Rounds:
    """One server, crashed again and again on one disk. Commands are numbered as they are proposed."""

    def __init__(self, rng: random.Random, *, lying: bool = False, fills: bool = False) -> None:
        self.rng = rng
        self.fills = fills
        self.refused = 0
        self.disk = SimDisk(lying=lying)
        self.proposed = 0
        self.acknowledged: list[int] = []

    async def run(self, crash_at: int) -> None:
        """Start, check, load until the crash."""
        self.disk.crash_at = crash_at
        machine, worker, clock = History(), InlineWorker(), VirtualClock()
        log = open_on(self.disk, machine, worker=worker, clock=clock)
        start = asyncio.ensure_future(log.start())
        await turns(40)
        if not start.done():
            assert worker.crashed, "start hangs"
            start.cancel()
        else:
            start.result()
            self.check([int(command.split()[0]) for command in machine.commands])
            await self.load(log, worker, clock)
        await log._tasks.cancel()
        if log._compaction is not None:
            await log._compaction.stop()
        self.disk.free_bytes = None
        self.disk.crash(self.rng)

    async def load(self, log: object, worker: InlineWorker, clock: VirtualClock) -> None:
        for _ in range(40):
            if self.fills and self.rng.random() < 0.1:
                self.disk.free_bytes = None if self.disk.free_bytes is not None else self.rng.randrange(1500)
                self.refused += self.disk.free_bytes is not None
                await clock.advance(1.0)
            for _ in range(self.rng.randrange(12)):
                self.propose(log)
            if self.rng.random() < 0.08:
                log._compaction.begin()  # type: ignore[attr-defined]
            await turns(self.rng.randrange(8))
            if worker.crashed:
                return

    def propose(self, log: object) -> None:
        number = self.proposed
        self.proposed += 1
        future = log.propose(b"%d " % number + bytes(self.rng.randrange(120)))  # type: ignore[attr-defined]

        def done(future: asyncio.Future[int]) -> None:
            if not future.cancelled() and future.exception() is None:
                self.acknowledged.append(number)

        future.add_done_callback(done)

    def check(self, found: list[int]) -> None:
        lost = set(self.acknowledged) - set(found)
        if lost or found != sorted(set(found)):
            raise Lost(f"lost {sorted(lost)[:5]}, found {len(found)}, in order: {found == sorted(set(found))}")


def run_rounds(seed: int, crash_points: list[int], *, lying: bool = False, fills: bool = False) -> Rounds:
    rounds = Rounds(random.Random(seed), lying=lying, fills=fills)

    async def main() -> None:
        for crash_at in crash_points:
            await rounds.run(crash_at)
        await rounds.run(10**9)

    asyncio.run(main())
    return rounds


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 300), min_size=1, max_size=6))
def test_what_was_acknowledged_survives_any_crash_in_order(seed: int, crash_points: list[int]) -> None:
    run_rounds(seed, crash_points)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 500), min_size=1, max_size=4))
def test_nor_is_it_lost_when_the_disk_fills_up_and_gets_space_again(seed: int, crash_points: list[int]) -> None:
    run_rounds(seed, crash_points, fills=True)


def test_every_single_operation_of_a_start_and_a_first_load_may_be_the_last() -> None:
    rounds = [run_rounds(seed, [crash_at, 10**9]) for seed, crash_at in enumerate(range(60))]
    assert sum(len(each.acknowledged) for each in rounds) > 5000


def test_a_build_that_forgets_fdatasync_is_caught() -> None:
    caught = 0
    for seed in range(20):
        try:
            run_rounds(seed, [60, 120, 200], lying=True)
        except (Lost, CorruptData):
            caught += 1
    assert caught >= 15


@pytest.mark.parametrize("seed", range(5))
def test_snapshots_and_rolled_segments_are_part_of_the_crash_test(seed: int) -> None:
    rounds = Rounds(random.Random(seed))

    async def main() -> set[str]:
        await rounds.run(10**9)
        names = set(rounds.disk)
        await rounds.run(10**9)
        return names

    names = asyncio.run(main())
    assert any(name.startswith("snapshot-") for name in names)
    assert "000000000001.log" not in names
    assert len(rounds.acknowledged) > 200
