"""Work is done in slices, and the loop rests as long as each took."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from meshagent.catalog.log import Pause
from meshagent.catalog.raft.slices import in_slices
from meshagent.clock import VirtualClock


async def test_the_loop_runs_between_slices() -> None:
    clock = VirtualClock()
    done: list[int] = []

    def steps() -> Iterator[None]:
        for number in range(6):
            clock._elapsed_s += 1.0  # each step takes a second
            done.append(number)
            yield

    task = asyncio.ensure_future(in_slices(steps(), clock, 2.0))
    await asyncio.sleep(0)
    assert done == [0, 1]
    await clock.advance(1.9)
    assert done == [0, 1]
    await clock.advance(0.1)
    assert done == [0, 1, 2, 3]
    await clock.advance(10)
    assert task.done()
    assert len(done) == 6


async def test_a_step_that_has_nothing_to_do_is_waited_for() -> None:
    clock = VirtualClock()
    done: list[int] = []

    def steps() -> Iterator[object]:
        for number in range(3):
            done.append(number)
            yield Pause(5.0)

    task = asyncio.ensure_future(in_slices(steps(), clock, 100.0))
    await clock.advance(4.9)
    assert done == [0]
    await clock.advance(20)
    assert done == [0, 1, 2]
    await task
