"""A snapshot holds the catalog, the outcomes of retried writes, and the members; old ones hold the catalog only."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.logs import History

from meshagent.catalog.raft.configuration import initial
from meshagent.catalog.raft.state import MAGIC, MAGIC_DONE, ReplicatedState
from meshagent.errors import Conflict, CorruptData


def test_a_retry_gets_the_first_result_and_applies_nothing() -> None:
    """Mutation: `apply_once` ignores the id."""
    machine = History()
    state = ReplicatedState(machine)
    assert [state.apply_once(b"id", b"x"), state.apply_once(b"id", b"x"), state.apply_once(b"id2", b"x")] == [1, 1, 2]
    for _ in range(2):
        with pytest.raises(Conflict):
            state.apply_once(b"id3", b"refuse")
    assert machine.commands == [b"x", b"x"]


def test_all_of_it_comes_back() -> None:
    """Mutations: `Outcomes.dump` is empty; the configuration is not in the head."""
    state = ReplicatedState(History())
    state.configuration = lambda: (7, initial({"a": "a:1"}))
    state.apply_once(b"id", b"x")
    machine = History()
    again = ReplicatedState(machine)
    again.restore(state.snapshot())
    assert machine.commands == [b"x"]
    assert again.restored == (7, initial({"a": "a:1"}))
    assert again.apply_once(b"id", b"x") == 1
    assert machine.commands == [b"x"]


def test_a_snapshot_is_of_the_moment_of_the_call() -> None:
    state = ReplicatedState(History())
    state.apply_once(b"1", b"x")
    chunks = state.snapshot()
    state.apply_once(b"2", b"y")
    again = ReplicatedState(History())
    again.restore(chunks)
    assert b"2" not in again.outcomes.known


def test_a_snapshot_of_before_is_read() -> None:
    machine = History()
    state = ReplicatedState(machine)
    state.restore([b"x", b"y"])
    assert machine.commands == [b"x", b"y"]
    assert state.restored is None


def test_a_head_of_version_1_is_read() -> None:
    state = ReplicatedState(History())
    head = [1, 7, [[["a", "a:1", True]]], [[b"id", "ok", 5]]]
    state.restore([MAGIC + msgspec.msgpack.encode(head), b"x"])
    assert state.restored == (7, initial({"a": "a:1"}))
    assert state.apply_once(b"id", b"y") == 5


def test_many_outcomes_are_many_chunks_and_none_may_be_missing() -> None:
    state = ReplicatedState(History())
    state.pass_to(1234)
    for number in range(1200):
        state.apply_once(b"%d" % number, b"x")
    chunks = list(state.snapshot())
    assert [chunk.startswith(MAGIC_DONE) for chunk in chunks[:5]] == [False, True, True, True, False]
    again = ReplicatedState(History())
    again.restore(chunks)
    assert len(again.outcomes) == 1200
    assert again.outcomes.time_ms == 1234
    with pytest.raises(CorruptData, match="lacks 700 outcomes of writes"):
        ReplicatedState(History()).restore([*chunks[:2], *chunks[4:]])
    for end in (1, 3):
        with pytest.raises(CorruptData, match="ends before the state begins"):
            ReplicatedState(History()).restore(chunks[:end])
    with pytest.raises(CorruptData, match="do not decode"):
        ReplicatedState(History()).restore([chunks[0], chunks[1][:-1]])


def test_what_is_being_restored_is_part_of_a_snapshot() -> None:
    """Mutation: the staged chunks are left out: a server that begins with the snapshot exchanges nothing."""
    state = ReplicatedState(History())
    state.staging.take(b"id", 0, b"x")
    state.staging.take(b"id", 1, b"y")
    machine = History()
    again = ReplicatedState(machine)
    again.restore(state.snapshot())
    assert (again.staging.id, again.staging.chunks) == (b"id", [b"x", b"y"])
    again.staging.exchange(b"id", 2)
    assert machine.commands == [b"x", b"y"]
    head, first, *_ = state.snapshot()
    with pytest.raises(CorruptData, match="lacks 1 chunks"):
        ReplicatedState(History()).restore([head, first, b"x"])


@given(st.binary(max_size=40))
def test_any_head_is_read_or_corrupt(junk: bytes) -> None:
    try:
        ReplicatedState(History()).restore([MAGIC + junk])
    except CorruptData:
        pass
