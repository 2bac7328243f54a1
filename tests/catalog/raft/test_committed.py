"""An entry comes to the same whoever proposed it, and only its own proposer hears of it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from meshtest.logs import History

from meshagent.catalog.raft.applying import Applier
from meshagent.catalog.raft.batch import encode_batch
from meshagent.catalog.raft.committed import Committed
from meshagent.catalog.raft.proposals import Batch, Proposals
from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.staging import CHUNK, encode_part
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.catalog.raft.telemetry import NoMetrics
from meshagent.clock import VirtualClock
from meshagent.errors import Conflict


class Counting:
    """`Compaction`, as far as it is told how much there was."""

    def __init__(self) -> None:
        self.counted: list[tuple[int, int]] = []

    def count(self, index: int, commands: int) -> None:
        self.counted.append((index, commands))


def committed() -> tuple[Committed, Proposals, History, Counting]:
    machine, clock, compaction = History(), VirtualClock(), Counting()
    state = ReplicatedState(machine)
    restorer = Restorer(state, random.Random(1), lambda steps: None)
    proposals = Proposals(RaftSettings())
    result = Committed(Applier(state), proposals, restorer, clock, NoMetrics())
    result.compaction = compaction  # type: ignore[assignment]
    return result, proposals, machine, compaction


async def test_its_proposer_is_told_and_what_came_from_elsewhere_is_applied_alike() -> None:
    apply, proposals, machine, compaction = committed()
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    proposals.waiting[4] = Batch([b"a"], [None], [future], term=2)
    apply.apply((encode_batch([b"a"], [None], 5), 4, 2))
    assert future.result() == 1
    apply.apply((encode_batch([b"b", b"refuse"], [None, None], 6), 5, 2))
    assert machine.commands == [b"a", b"b"]
    assert compaction.counted == [(4, 1), (5, 2)]


async def test_a_piece_of_a_restore_that_is_out_of_order_fails_for_its_proposer() -> None:
    apply, proposals, _, _ = committed()
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    part = encode_part(CHUNK, b"r" * 16, 1, b"x")
    proposals.waiting[4] = Batch([], [], [future], term=2)
    apply.apply((part, 4, 2))
    with pytest.raises(Conflict, match="begin it again"):
        future.result()
