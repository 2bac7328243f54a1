"""A read may use an answer only if the question left after it came; whoever waits shares one."""

from __future__ import annotations

import asyncio

import pytest

from meshagent.catalog.rpc.read_gate import MAX_ASKING, ReadGate
from meshagent.errors import MeshError, NoLeader, Timeout


class Leader:
    def __init__(self) -> None:
        self.questions: list[asyncio.Future[None]] = []
        self.error: MeshError | None = None

    def ask(self) -> asyncio.Future[None]:
        if self.error is not None:
            raise self.error
        self.questions.append(asyncio.get_running_loop().create_future())
        return self.questions[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_reads_of_one_turn_share_a_question() -> None:
    leader = Leader()
    gate = ReadGate(leader.ask, timeout_s=60)
    reads = [gate.ready() for _ in range(100)]
    await settle()
    assert len(leader.questions) == 1
    leader.questions[0].set_result(None)
    await asyncio.gather(*reads)


async def test_a_read_never_uses_a_question_that_left_before_it_came() -> None:
    leader = Leader()
    gate = ReadGate(leader.ask, timeout_s=60)
    for _ in range(MAX_ASKING):
        gate.ready()
        await settle()
    assert len(leader.questions) == MAX_ASKING
    late = [gate.ready() for _ in range(3)]
    await settle()
    assert len(leader.questions) == MAX_ASKING  # they wait for their own
    leader.questions[0].set_result(None)
    await settle()
    assert not any(read.done() for read in late)
    leader.questions[-1].set_result(None)
    await asyncio.gather(*late)


async def test_errors_reach_all_and_the_next_asks_again() -> None:
    leader = Leader()
    gate = ReadGate(leader.ask, timeout_s=60)
    reads = [gate.ready() for _ in range(2)]
    await settle()
    leader.questions[0].set_exception(Timeout("late"))
    assert [type(error) for error in await asyncio.gather(*reads, return_exceptions=True)] == [Timeout, Timeout]
    leader.error = NoLeader()
    with pytest.raises(NoLeader):
        await gate.ready()
    leader.error = None
    read = gate.ready()
    await settle()
    leader.questions[1].set_result(None)
    await read


async def test_who_waits_for_a_leader_that_was_replaced_is_told() -> None:
    leader = Leader()
    gate = ReadGate(leader.ask, timeout_s=60)
    read = gate.ready()
    await settle()
    gate.give_up()
    with pytest.raises(NoLeader):
        await read
    again = gate.ready()
    await settle()
    leader.questions[1].set_result(None)
    await again


async def test_a_question_that_is_never_answered_ends() -> None:
    leader = Leader()
    gate = ReadGate(leader.ask, timeout_s=0)
    with pytest.raises(Timeout):
        await gate.ready()
    assert leader.questions[0].cancelled()
