from __future__ import annotations

import msgspec
import pytest

from meshagent.catalog.commands import KVSet, Register
from meshagent.catalog.model import Node, Service
from meshagent.catalog.snapshot_summary import Count, Summary
from meshagent.catalog.store import Store
from meshagent.errors import CorruptData


def store() -> Store:
    made = Store()
    made.execute(Register(Node(name="n1", address="10.0.0.1"), Service(id="web", name="web")))
    for key in ("a/b/one", "a/b/two", "a/c", "z"):
        made.execute(KVSet(key, b"v" * 100))
    return made


def summary(**given: object) -> Summary:
    made = Summary(**given)  # type: ignore[arg-type]
    for chunk in store().snapshot():
        made.chunk(chunk)
    return made


def test_rows_are_counted_by_type() -> None:
    types = summary().types
    assert types["Register"].count == 2
    assert types["KVS"].count == 4
    assert types["KVS"].size > 400
    assert types["SystemMetadata"].count == 1
    assert not summary().keys


def test_keys_are_grouped_by_their_first_parts() -> None:
    keys = summary(kv_depth=2).keys
    assert {name: count.count for name, count in keys.items()} == {"a/b": 2, "a/c": 1, "z": 1}
    assert summary(kv_depth=1).keys["a"].count == 3


def test_keys_can_be_narrowed_to_a_prefix() -> None:
    assert set(summary(kv_depth=3, kv_filter="a/b").keys) == {"a/b/one", "a/b/two"}


def test_the_largest_comes_first() -> None:
    counts = {"b": Count(1, 5), "a": Count(1, 5), "c": Count(9, 50)}
    assert [name for name, _ in Summary.largest_first(counts)] == ["c", "a", "b"]


def test_a_table_that_is_not_known_goes_by_its_own_name() -> None:
    made = Summary()
    made.chunk(msgspec.msgpack.encode(("widgets", [1, 2])))
    assert made.types == {"widgets": Count(2, 2)}


def test_a_damaged_row_is_refused() -> None:
    with pytest.raises(CorruptData):
        Summary(kv_depth=1).chunk(msgspec.msgpack.encode(("kv", [7])))
