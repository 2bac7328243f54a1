"""The state in use stays as it is until the new one takes its place, at one stretch; then the old one goes in steps."""

from __future__ import annotations

from itertools import pairwise

import pytest

from meshagent.catalog.commands import KVDelete, KVSet
from meshagent.catalog.log import Pause
from meshagent.catalog.store import Store
from meshagent.errors import CorruptData


def filled(keys: int, value: bytes = b"v") -> Store:
    store = Store()
    for number in range(keys):
        store.execute(KVSet(f"k{number}", value))
    store.execute(KVDelete("k0"))
    return store


def test_writes_go_on_until_it_takes_its_place() -> None:
    source, store = filled(3000), filled(5, b"other")
    restoring = store.begin_restore()
    for chunk in source.snapshot():
        restoring.load(chunk)
        store.execute(KVSet("meanwhile", b"1"))
    restoring.finish()
    assert store.kv.get("meanwhile") is not None
    restoring.take_place()
    assert store.digest() == source.digest()
    assert store.kv.get("meanwhile") is None
    assert list(store.kv.prefix_keys("")) == sorted(f"k{number}" for number in range(1, 3000))


def test_at_once_is_the_same() -> None:
    source, store = filled(3000), Store()
    store.restore(source.snapshot())
    assert store.digest() == source.digest()
    assert list(store.kv.prefix_keys("")) == list(source.kv.prefix_keys(""))


def test_readers_wake_when_it_takes_its_place() -> None:
    store = filled(5)
    woken: list[int] = []
    store.watches.subscribe([("kv", "nothing")], lambda: woken.append(1))
    restoring = store.begin_restore()
    for chunk in filled(3).snapshot():
        restoring.load(chunk)
    restoring.finish()
    store.flush()
    assert not woken
    restoring.take_place()
    store.flush()
    assert woken == [1]


def test_the_old_state_is_let_go_of_in_steps() -> None:
    store = filled(3500)
    entries = store.kv.entries
    restoring = store.begin_restore()
    for chunk in filled(3).snapshot():
        restoring.load(chunk)
    restoring.finish()
    rows = [sum(1 for _ in entries.each_value()) for _ in restoring.take_place()]
    assert (len(entries), rows[-1]) == (0, 0)
    assert max(before - after for before, after in pairwise(rows)) < 100, "251 parts of some 14 rows"
    assert store.kv.get("k1") is not None


def test_what_is_not_whole_is_not_ready() -> None:
    store = filled(5)
    restoring = store.begin_restore()
    for chunk in list(filled(3).snapshot())[:-1]:
        restoring.load(chunk)
    with pytest.raises(CorruptData, match="cut short"):
        restoring.finish()
    assert store.kv.get("k4") is not None


def test_an_older_state_does_not_take_indexes_back() -> None:
    store = filled(50)
    before = store.index
    for source, expected in ((filled(3), before + 1), (filled(500), 503)):
        restoring = store.begin_restore()
        for chunk in source.snapshot():
            restoring.load(chunk)
        restoring.finish()
        restoring.take_place(lifted=True)
        assert store.index == expected


def test_the_cluster_stays_the_one_it_is() -> None:
    store, source = filled(1), filled(3)
    store.cluster_id, source.cluster_id = "here", "elsewhere"
    for lifted, expected in ((True, "here"), (False, "elsewhere")):
        restoring = store.begin_restore()
        for chunk in source.snapshot():
            restoring.load(chunk)
        restoring.finish()
        restoring.take_place(lifted=lifted)
        assert store.cluster_id == expected


def test_who_wants_to_know_is_told_each_time() -> None:
    store = filled(3)
    told: list[int] = []
    store.on_replaced.append(lambda: told.append(store.index))
    for count in (5, 7):
        store.restore(list(filled(count).snapshot()))
    assert told == [filled(5).index, filled(7).index]


def test_a_snapshot_of_the_old_state_is_finished_before_it_is_let_go_of() -> None:
    store = filled(3000)
    store.execute(KVDelete("k7"))
    expected = store.digest()
    chunks = store.snapshot()
    taken = [next(chunks) for _ in range(2)]
    restoring = store.begin_restore()
    for chunk in filled(3).snapshot():
        restoring.load(chunk)
    restoring.finish()
    steps = restoring.take_place()
    assert [type(next(steps)) for _ in range(3)] == [Pause] * 3
    taken += chunks
    del chunks
    list(steps)
    again = Store()
    again.restore(taken)
    assert again.digest() == expected


def test_what_is_given_up_goes_in_steps_too() -> None:
    store = filled(5)
    restoring = store.begin_restore()
    for chunk in filled(3500).snapshot():
        restoring.load(chunk)
    entries = restoring._fresh.kv.entries
    assert len(entries) == 3499
    assert sum(1 for _ in restoring.forget()) > 100
    assert len(entries) == 0
    assert store.kv.get("k4") is not None
