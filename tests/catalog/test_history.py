"""Versions of keys and config entries: who, when, how many, how much."""

from typing import Any

import pytest

from meshagent.catalog import commands as c
from meshagent.catalog.entries.table import parse
from meshagent.catalog.history import Shelf, Version, entry_of
from meshagent.catalog.model import Node, Session
from meshagent.catalog.store import Store
from meshagent.errors import InternalError


def by(command: Any, who: str = "alice", *, versions: int = 3, max_bytes: int = 1 << 20) -> c.Authored:
    return c.Authored(command, "2026-01-01T00:00:00Z", f"{who}-accessor", who, "n1", versions, max_bytes)


def values(store: Store, key: str = "k") -> list[tuple[bytes | None, str]]:
    return [(row.value, row.name) for row in store.history.kv.of(key)]


def test_versions_have_value_author_and_index() -> None:
    store = Store()
    store.execute(by(c.KVSet("k", b"1", 7)))
    store.execute(by(c.KVDelete("k"), "bob"))
    first, second = store.history.kv.of("k")
    assert first == Version("kv", "k", 2, b"1", 7, "2026-01-01T00:00:00Z", "alice-accessor", "alice", "n1")
    assert (second.index, second.value, second.name) == (3, None, "bob")


def test_what_was_there_before_is_the_first_version() -> None:
    store = Store()
    store.execute(c.KVSet("k", b"old"))
    assert not store.history.rows()
    assert store.kv.changed is None  # nothing is noted where nobody keeps versions
    store.execute(by(c.KVSet("k", b"new")))
    assert values(store) == [(b"old", ""), (b"new", "alice")]
    assert store.history.kv.of("k")[0].index == 2


def test_only_the_last_versions_stay() -> None:
    store = Store()
    for number in range(6):
        store.execute(by(c.KVSet("k", b"%d" % number), versions=2))
    assert values(store) == [(b"4", "alice"), (b"5", "alice")]


def test_the_oldest_go_when_it_is_too_much() -> None:
    store = Store()
    for number in range(10):
        store.execute(by(c.KVSet(f"k{number}", b"x" * 1000), max_bytes=5000))
    kept = [row.key for row in store.history.kv.rows.values()]
    assert kept == ["k7", "k8", "k9"]
    assert store.history.kv.size_bytes <= 5000


def test_equal_writes_and_locks_are_no_versions() -> None:
    store = Store()
    store.execute(c.Register(Node(name="a")))
    store.execute(c.SessionCreate(Session(id="s", node="a")))
    store.execute(by(c.KVSet("k", b"1")))
    store.execute(by(c.KVSet("k", b"1")))
    store.execute(by(c.KVLock("k", b"1", 0, "s")))
    assert len(values(store)) == 1


def test_a_change_without_an_author_is_noted_where_there_is_a_history() -> None:
    store = Store()
    store.execute(c.Register(Node(name="a")))
    store.execute(c.SessionCreate(Session(id="s", node="a", behavior="delete")))
    store.execute(by(c.KVLock("k", b"1", 0, "s")))
    store.execute(c.KVSet("other", b"1"))
    store.execute(c.SessionDestroy("s"))
    assert values(store) == [(b"1", "alice"), (None, "")]
    assert not store.history.kv.of("other")


def test_a_refused_transaction_leaves_no_version_and_no_author() -> None:
    store = Store()
    store.execute(by(c.KVSet("k", b"1")))
    outcome = store.execute(by(c.Txn((c.TxnKV("set", "k", b"2"), c.TxnKV("check-index", "k", index=1)))))
    assert outcome.failures
    store.execute(by(c.Txn((c.TxnKV("set", "k", b"3"), c.TxnKV("set", "k", b"4"))), "bob"))
    store.execute(c.KVSet("fresh", b"1"))
    assert values(store) == [(b"1", "alice"), (b"4", "bob")]
    assert not store.history.kv.of("fresh")


def test_config_entries_have_versions() -> None:
    store = Store()
    for protocol in ("http", "http", "grpc"):
        entry: Any = parse({"Kind": "service-defaults", "Name": "Web", "Protocol": protocol})
        store.execute(by(c.ConfigEntrySet(entry)))
    store.execute(by(c.ConfigEntryDelete("service-defaults", "web"), "bob"))
    rows = store.history.config.of("service-defaults/web")
    entries: list[Any] = [entry_of(row) for row in rows]
    assert [entry and entry.protocol for entry in entries] == ["http", "grpc", None]
    assert entries[0].name == "Web"
    assert rows[-1].name == "bob"


def test_what_is_refused_leaves_no_author_behind() -> None:
    store = Store()
    entry: Any = parse({"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 100}]})
    with pytest.raises(InternalError):
        store.execute(by(c.ConfigEntrySet(entry)))
    store.execute(c.KVSet("k", b"1"))
    assert not store.history.rows()


def test_a_snapshot_brings_them_back_in_their_order() -> None:
    store, fresh = Store(), Store()
    store.execute(c.KVSet("a", b"0"))
    for key in ("b", "a", "b"):
        store.execute(by(c.KVSet(key, b"v%d" % store.index)))
    fresh.restore(store.snapshot())
    assert fresh.digest() == store.digest()
    assert list(fresh.history.kv.rows.values()) == list(store.history.kv.rows.values())
    assert fresh.history.kv.size_bytes == store.history.kv.size_bytes
    for one in (store, fresh):
        one.execute(c.KVDelete("a"))
    assert values(fresh, "a") == values(store, "a")
    assert values(fresh, "a")[-1] == (None, "")


def test_dropping_stops_it() -> None:
    store = Store()
    store.execute(by(c.KVSet("k", b"1")))
    store.execute(c.HistoryDrop())
    store.execute(c.KVSet("k", b"2"))
    assert not store.history.rows()
    assert store.kv.changed is None
    assert store.digest() != Store().digest()


def test_the_author_costs_no_index() -> None:
    one, two = Store(), Store()
    assert one.execute(by(c.KVSet("k", b"1"))) is two.execute(c.KVSet("k", b"1")) is True
    assert one.index == two.index
    assert one.kv.entries == two.kv.entries


def test_a_value_larger_than_everything_is_not_kept() -> None:
    shelf = Shelf("kv")
    shelf.add(Version("kv", "k", 1, b"x" * 10_000), 3, 5000)
    assert not shelf.rows
    assert not shelf.of("k")
    assert shelf.size_bytes == 0
