"""A state that comes through the log: whole, in order, or not at all; the same decision from the same entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.logs import History

from meshagent.catalog.commands import KVSet
from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, Part, Staging, decode_part, encode_part
from meshagent.catalog.store import Store
from meshagent.errors import Conflict, CorruptData


def filled(machine: History, *chunks: bytes) -> Staging:
    staging = Staging(machine)
    for number, chunk in enumerate(chunks):
        staging.take(b"id", number, chunk)
    return staging


def test_an_entry_comes_back() -> None:
    assert decode_part(encode_part(CHUNK, b"id", 3, b"chunk")) == Part(1, CHUNK, b"id", 3, b"chunk")
    with pytest.raises(CorruptData, match="in version 1, kind 9"):
        decode_part(encode_part(9, b"id", 3))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_part_or_refused(data: bytes) -> None:
    try:
        assert decode_part(b"\x03" + data).kind <= 2
    except CorruptData:
        pass


def test_nothing_changes_before_the_exchange() -> None:
    machine = History()
    machine.commands = [b"old"]
    staging = filled(machine, b"x", b"y")
    assert machine.commands == [b"old"]
    staging.exchange(b"id", 2)
    assert machine.commands == [b"x", b"y"]
    assert staging.id == b""


@pytest.mark.parametrize(("id", "count"), [(b"other", 2), (b"id", 1), (b"id", 3)])
def test_only_the_whole_is_exchanged(id: bytes, count: int) -> None:
    machine = History()
    with pytest.raises(Conflict, match="thrown away"):
        filled(machine, b"x", b"y").exchange(id, count)
    assert machine.commands == []


def test_a_chunk_out_of_order_is_refused() -> None:
    staging = filled(History(), b"x")
    for id, number in ((b"id", 2), (b"other", 1)):
        with pytest.raises(Conflict):
            staging.take(id, number, b"y")
    staging.throw_away()
    with pytest.raises(Conflict):
        staging.take(b"id", 1, b"y")


def test_a_new_one_throws_the_old_one_away() -> None:
    machine = History()
    staging = filled(machine, b"x")
    staging.take(b"new", 0, b"z")
    staging.exchange(b"new", 1)
    assert machine.commands == [b"z"]


def test_a_damaged_chunk_ends_it() -> None:
    store = Store()
    store.execute(KVSet("k", b"v"))
    before = store.digest()
    staging = Staging(store)
    staging.take(b"id", 0, next(store.snapshot()))
    with pytest.raises(CorruptData):
        staging.take(b"id", 1, b"\xff")
    assert (staging.id, staging.chunks) == (b"", [])
    with pytest.raises(Conflict):
        staging.take(b"id", 2, b"\xff")
    assert store.digest() == before


def test_a_state_that_is_cut_short_changes_nothing() -> None:
    store = Store()
    store.execute(KVSet("k", b"v"))
    before = store.digest()
    staging = Staging(store)
    for number, chunk in enumerate(list(store.snapshot())[:-1]):
        staging.take(b"id", number, chunk)
    with pytest.raises(CorruptData, match="cut short"):
        staging.exchange(b"id", len(staging.chunks))
    assert store.digest() == before
    assert staging.id == b""


def test_indexes_go_on_upward() -> None:
    """Mutation: `take_place` takes the index of the old state: a client's index would mean two things."""
    old, store = Store(), Store()
    old.execute(KVSet("a", b"1"))
    for number in range(10):
        store.execute(KVSet("b", b"%d" % number))
    before = store.index
    staging = Staging(store)
    chunks = list(old.snapshot())
    for number, chunk in enumerate(chunks):
        staging.take(b"id", number, chunk)
    staging.exchange(b"id", len(chunks))
    assert store.index == before + 1
    assert store.kv.get("b") is None
    assert decode_part(encode_part(EXCHANGE, b"id", 1)).kind == EXCHANGE


def on_its_way(keys: int) -> tuple[Store, Store, Staging]:
    """A store, one of many keys, and what is on its way from the second to the first."""
    store, source = Store(), Store()
    for number in range(keys):
        for each in (store, source):
            each.execute(KVSet(f"k{number * 7919 % keys}", b"v"))
    staging = Staging(store)
    for number, chunk in enumerate(source.snapshot()):
        staging.take(b"id", number, chunk)
    return store, source, staging


@pytest.mark.parametrize("ends", ["exchange", "throw_away", "another", "damaged"])
def test_what_has_lost_its_use_is_let_go_of_in_steps(ends: str) -> None:
    """Mutation: `throw_away` just drops its references: a million rows freed at once hold the loop."""
    store, source, staging = on_its_way(5000)
    entries, chunks, loaded = store.kv.entries, staging.chunks, staging._restoring._fresh.kv.entries  # type: ignore[union-attr]
    if ends == "exchange":
        staging.exchange(b"id", len(staging.chunks))
        assert list(store.kv.prefix_keys("")) == list(source.kv.prefix_keys(""))
    elif ends == "another":
        staging.take(b"new", 0, next(source.snapshot()))
    elif ends == "damaged":
        with pytest.raises(CorruptData):
            staging.take(b"id", len(staging.chunks), b"\xff")
    else:
        staging.throw_away()
    useless = entries if ends == "exchange" else loaded
    assert len(useless) == 5000
    assert chunks
    steps = 0
    for each in staging.leaving():
        steps += sum(1 for _ in each)
    assert steps > 50
    assert (len(useless), chunks) == (0, [])
    assert len(store.kv.entries) == 5000
    assert list(staging.leaving()) == []
