"""Everyone waits for something of their own, and is told once, or why it will not come."""

from __future__ import annotations

import pytest

from meshagent.catalog.raft.waiting import Waiting
from meshagent.errors import NoLeader, Unavailable


async def test_a_barrier_needs_its_round_and_its_entry() -> None:
    waiting = Waiting()
    first, second = waiting.barrier(3, 10), waiting.barrier(4, 10)
    waiting.confirmed(2, 10)
    waiting.confirmed(3, 9)
    assert not first.done()
    waiting.confirmed(3, 10)
    assert first.done()
    assert not second.done()


async def test_who_waits_for_an_early_entry_is_told_early() -> None:
    waiting = Waiting()
    late, early = waiting.applied(9), waiting.applied(5)
    waiting.settle(committed=9, applied=5)
    assert early.done()
    assert not late.done()
    waiting.settle(committed=9, applied=9)
    assert late.done()
    assert not waiting


async def test_a_change_needs_to_be_committed_only() -> None:
    waiting = Waiting()
    change = waiting.change(7)
    waiting.settle(committed=6, applied=6)
    assert not change.done()
    waiting.settle(committed=7, applied=6)
    assert change.done()


async def test_a_deposed_leader_still_applies() -> None:
    waiting = Waiting()
    barrier, change, applied = waiting.barrier(1, 1), waiting.change(1), waiting.applied(1)
    waiting.deposed(NoLeader())
    for future in (barrier, change):
        with pytest.raises(NoLeader):
            await future
    assert not applied.done()
    waiting.ended(Unavailable("the disk"))
    with pytest.raises(Unavailable, match="the disk"):
        await applied


async def test_who_gave_up_disturbs_nobody() -> None:
    waiting = Waiting()
    futures = [waiting.barrier(1, 1), waiting.change(1), waiting.applied(1)]
    for future in futures:
        future.cancel()
    waiting.confirmed(1, 1)
    waiting.settle(committed=1, applied=1)
    waiting.ended(NoLeader())
    assert not waiting
