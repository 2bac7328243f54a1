"""Snapshots: format and refusals. Round trips are in test_store.py."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog import snapshot
from meshagent.catalog.commands import KVDelete, KVSet
from meshagent.catalog.store import Store
from meshagent.errors import CorruptData


def filled(keys: int) -> Store:
    store = Store()
    for number in range(keys):
        store.execute(KVSet(f"k{number}", b"v"))
    return store


def test_tables_come_in_small_chunks_and_end_with_a_checksum():
    chunks = list(filled(1200).snapshot())
    names = [msgspec.msgpack.decode(chunk)[0] for chunk in chunks]
    assert names == ["meshagent", *["kv"] * 5, "end"]
    rows = [len(msgspec.msgpack.decode(chunk)[1]) for chunk in chunks[1:-1]]
    assert max(rows) == 500
    assert sum(rows) == 1200


def test_chunks_of_large_values_have_few_rows():
    store = Store()
    for number in range(60):
        store.execute(KVSet(f"k{number}", bytes(300_000)))
    sizes = [len(chunk) for chunk in store.snapshot()]
    assert max(sizes[2:]) < 2_000_000
    assert max(sizes) < 16 * 300_000 + 2_000


def test_large_values_behind_small_ones_make_no_huge_chunk():
    store = Store()
    for number in range(1000):
        store.execute(KVSet(f"k{number:04}", bytes(500_000) if number >= 350 else b""))
    chunks = list(store.snapshot())
    assert max(map(len, chunks)) <= 8 << 20
    other = Store()
    other.restore(chunks)
    assert other.digest() == store.digest()


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([], "damaged"),
        ([b"\xff"], "damaged"),
        ([msgspec.msgpack.encode(("meshagent", 99, 1, (0, {}, 0, 0, {})))], "unknown format"),
        (list(filled(3).snapshot())[:-1], "cut short"),
        ([*filled(3).snapshot(), b"\x90"], "after its end"),
    ],
)
def test_what_cannot_be_trusted_is_refused(chunks, message):
    with pytest.raises(CorruptData, match=message):
        Store().restore(chunks)


def test_a_table_of_a_later_release_is_not_dropped_silently():
    chunks = list(filled(1).snapshot())
    chunks.insert(1, msgspec.msgpack.encode(("widgets", [1])))
    with pytest.raises(CorruptData, match="'widgets'"):
        Store().restore(chunks)


def test_the_digest_sees_every_table():
    one, two = filled(1), filled(1)
    assert snapshot.digest(one) == snapshot.digest(two)
    two.kv.tombstones["gone"] = 1
    assert snapshot.digest(one) != snapshot.digest(two)


def test_keys_and_values_stay_together_whatever_order_they_came_in():
    store = Store()
    for key in ("b", "a", "c"):
        store.execute(KVSet(key, key.encode()))
    for key in ("c", "a"):
        store.execute(KVDelete(key))
    fresh = Store()
    fresh.restore(store.snapshot())
    assert dict(fresh.kv.tombstones) == dict(store.kv.tombstones) == {"c": 5, "a": 6}
    assert fresh.registrations.changed == store.registrations.changed


def test_rows_of_a_chunk_can_be_counted_without_knowing_the_table():
    chunks = list(filled(3).snapshot())
    assert snapshot.table_rows(chunks[0]) == ("meshagent", [])
    assert snapshot.table_rows(chunks[-1]) == ("end", [])
    name, rows = snapshot.table_rows(msgspec.msgpack.encode(("widgets", [1, "two"])))
    assert (name, [bytes(row) for row in rows]) == ("widgets", [b"\x01", b"\xa3two"])


@given(st.binary(max_size=60))
def test_any_bytes_have_rows_or_are_refused(data):
    try:
        name, rows = snapshot.table_rows(data)
    except CorruptData:
        return
    assert isinstance(name, str)
    assert isinstance(rows, list)
