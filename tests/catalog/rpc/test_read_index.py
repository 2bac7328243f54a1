"""A read may use an answer only if the question left after it came; whoever waits shares one."""

from __future__ import annotations

import asyncio

import pytest

from meshagent.catalog.rpc.read_index import MAX_ASKING, ReadIndex
from meshagent.catalog.rpc.writes import READ_INDEX, encode_index
from meshagent.errors import MeshError, NoLeader, Timeout


class Leader:
    def __init__(self) -> None:
        self.questions: list[asyncio.Future[bytes]] = []
        self.payloads: list[bytes] = []
        self.error: MeshError | None = None

    def ask(self, method: str, payload: bytes) -> asyncio.Future[bytes]:
        if self.error is not None:
            raise self.error
        assert method == READ_INDEX
        self.payloads.append(payload)
        self.questions.append(asyncio.get_running_loop().create_future())
        return self.questions[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_reads_of_one_turn_share_a_question() -> None:
    leader = Leader()
    index = ReadIndex(leader.ask, consistent=True)
    reads = [asyncio.ensure_future(index.get()) for _ in range(100)]
    await settle()
    assert leader.payloads == [b"\x01"]
    leader.questions[0].set_result(encode_index(7))
    assert await asyncio.gather(*reads) == [7] * 100


async def test_a_read_never_uses_a_question_that_left_before_it_came() -> None:
    leader = Leader()
    index = ReadIndex(leader.ask, consistent=False)
    early = [asyncio.ensure_future(index.get())]
    for _ in range(MAX_ASKING - 1):
        await settle()
        early.append(asyncio.ensure_future(index.get()))
    await settle()
    assert len(leader.questions) == MAX_ASKING
    late = [asyncio.ensure_future(index.get()) for _ in range(3)]
    await settle()
    assert len(leader.questions) == MAX_ASKING  # they wait for their own
    leader.questions[0].set_result(encode_index(1))
    await settle()
    assert not any(read.done() for read in late)
    leader.questions[-1].set_result(encode_index(9))
    assert await asyncio.gather(*late) == [9, 9, 9]


async def test_errors_reach_all_and_the_next_asks_again() -> None:
    leader = Leader()
    index = ReadIndex(leader.ask, consistent=False)
    reads = [asyncio.ensure_future(index.get()) for _ in range(2)]
    await settle()
    leader.questions[0].set_exception(Timeout("late"))
    assert [type(error) for error in await asyncio.gather(*reads, return_exceptions=True)] == [Timeout, Timeout]
    leader.error = NoLeader()
    with pytest.raises(NoLeader):
        await index.get()
    leader.error = None
    read = asyncio.ensure_future(index.get())
    await settle()
    leader.questions[1].set_result(encode_index(3))
    assert await read == 3


async def test_one_that_leaves_does_not_take_the_others_along() -> None:
    leader = Leader()
    index = ReadIndex(leader.ask, consistent=False)
    stays, leaves = (asyncio.ensure_future(index.get()) for _ in range(2))
    await settle()
    leaves.cancel()
    await settle()
    leader.questions[0].set_result(encode_index(5))
    assert await stays == 5
