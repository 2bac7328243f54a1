"""Who proposed is told: what it came to, or that another entry took the place of its own."""

from __future__ import annotations

import asyncio

import pytest

from meshagent.catalog.raft.proposals import Batch, Proposals
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.errors import NoLeader, Unavailable


def batch(*commands: bytes, term: int = 1) -> Batch:
    loop = asyncio.get_running_loop()
    return Batch(list(commands), [None] * len(commands), [loop.create_future() for _ in commands], term=term)


async def test_what_is_new_is_taken_once() -> None:
    proposals = Proposals(RaftSettings())
    proposals.new = taken = batch(b"a")
    assert proposals
    assert proposals.take() is taken
    assert proposals.take().commands == []
    assert not proposals


async def test_a_batch_is_cut_by_count_and_by_size() -> None:
    proposals = Proposals(RaftSettings(max_entry_commands=2, max_entry_bytes=1000))
    few = batch(b"a", b"b")
    assert list(proposals.cut(few)) == [few]
    many = batch(b"a", b"b", b"c")
    pieces = list(proposals.cut(many))
    assert [piece.commands for piece in pieces] == [[b"a", b"b"], [b"c"]]
    assert [future for piece in pieces for future in piece.futures] == many.futures
    large = batch(bytes(900), bytes(900))
    assert [len(piece.commands) for piece in proposals.cut(large)] == [1, 1]


async def test_an_entry_of_another_term_is_not_ours() -> None:
    proposals = Proposals(RaftSettings())
    ours, theirs = batch(b"a"), batch(b"b", b"c")
    proposals.waiting = {7: ours, 8: theirs}
    assert proposals.claim(7, 1) is ours
    theirs.futures[0].cancel()  # type: ignore[attr-defined]
    assert proposals.claim(8, 2) is None
    with pytest.raises(NoLeader, match="leadership lost"):
        await theirs.futures[1]  # type: ignore[misc]
    assert proposals.claim(9, 1) is None
    assert not proposals


async def test_all_that_wait_fail_each_with_an_error_of_its_own() -> None:
    proposals = Proposals(RaftSettings())
    proposals.waiting = {1: (first := batch(b"a")), 2: (second := batch(b"b"))}
    proposals.fail(Unavailable("full"))
    errors = [each.futures[0].exception() for each in (first, second)]  # type: ignore[attr-defined]
    assert [str(error) for error in errors] == ["full", "full"]
    assert errors[0] is not errors[1]
    assert not proposals.waiting
