"""Pieces wait for their reader, up to a bound."""

from __future__ import annotations

import asyncio

import pytest

from meshagent.catalog.rpc.frames import LEAST_PIECE_BYTES
from meshagent.catalog.rpc.streams import MAX_WAITING_BYTES, Stream
from meshagent.errors import Conflict, LocalProtocolError, Unavailable


def stream() -> Stream:
    return Stream(asyncio.get_running_loop())


async def test_pieces_come_in_order_whoever_is_first() -> None:
    pieces = stream()
    waiting = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    assert pieces.put(b"1")
    assert pieces.put(b"2")
    pieces.end()
    assert await waiting == b"1"
    assert [piece async for piece in pieces] == [b"2"]


async def test_an_error_comes_after_the_pieces_before_it() -> None:
    pieces = stream()
    pieces.put(b"1")
    pieces.set_exception(Conflict("broken"))
    pieces.set_exception(Conflict("twice"))
    assert pieces.done()
    assert await anext(pieces) == b"1"
    with pytest.raises(Conflict, match="broken"):
        await anext(pieces)


async def test_many_small_pieces_are_bounded_as_a_few_large_ones() -> None:
    for size in (0, 1 << 20):
        pieces = stream()
        taken = 0
        while pieces.put(bytes(size)):
            taken += 1
        assert taken == MAX_WAITING_BYTES // max(size, LEAST_PIECE_BYTES)
        with pytest.raises(Unavailable, match="not read"):
            async for _ in pieces:
                pass


async def test_reading_makes_room() -> None:
    pieces = stream()
    for _ in range(100):
        assert pieces.put(bytes(1 << 20))
        await anext(pieces)


async def test_one_piece_may_be_larger_than_the_bound() -> None:
    assert stream().put(bytes(MAX_WAITING_BYTES + 1))


async def test_a_single_answer_is_an_error() -> None:
    pieces = stream()
    pieces.set_result(b"x")
    with pytest.raises(LocalProtocolError):
        await anext(pieces)


async def test_what_was_read_is_told_in_parts_of_the_window() -> None:
    told: list[int] = []
    pieces = Stream(asyncio.get_running_loop(), 4000, told.append)
    for _ in range(9):
        assert pieces.put(bytes(400))
    pieces.end()
    assert not told, "what has only arrived is not read"
    assert len([piece async for piece in pieces]) == 9
    assert told == [1200, 1200, 1200]
