"""Keys (surface rows KV1-KV6, E9, C11, C13)."""

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog import queries
from meshagent.catalog.commands import KVCas, KVDelete, KVDeleteCas, KVDeleteTree, KVSet, ReapTombstones
from meshagent.catalog.store import Store


def filled(*keys: str) -> Store:
    store = Store()
    for key in keys:
        store.execute(KVSet(key, b"v"))
    return store


def test_an_empty_value_is_kept_as_none():
    store = Store()
    store.execute(KVSet("k", b""))
    assert queries.kv_get(store, "k").rows.value is None


def test_the_same_value_and_flags_change_no_index():
    store = filled("k")
    store.execute(KVSet("k", b"v"))
    assert queries.kv_get(store, "k").index == 2
    store.execute(KVSet("k", b"v", 7))
    assert queries.kv_get(store, "k").index == 4


def test_cas_with_0_only_creates():
    store = Store()
    assert store.execute(KVCas("k", b"1", 0, 0)) is True
    assert store.execute(KVCas("k", b"2", 0, 0)) is False
    assert store.execute(KVCas("k", b"2", 0, 2)) is True
    assert store.execute(KVCas("gone", b"2", 0, 5)) is False


def test_delete_cas():
    store = filled("k")
    assert store.execute(KVDeleteCas("k", 0)) is False
    assert store.execute(KVDeleteCas("k", 9)) is False
    assert store.execute(KVDeleteCas("k", 2)) is True
    assert store.execute(KVDeleteCas("k", 0)) is True, "a missing key is deleted already"


def test_a_missing_key_has_the_index_of_the_table():
    store = filled("a", "b")
    assert queries.kv_get(store, "missing").index == 3
    assert queries.kv_get(Store(), "missing").index == 1


def test_the_index_of_a_prefix_survives_deletes_until_tombstones_are_reaped():
    store = filled("a/1", "b/1")
    store.execute(KVDelete("a/1"))
    store.execute(KVSet("b/2", b"v"))
    assert queries.kv_list(store, "a/").index == 4
    store.execute(ReapTombstones(4))
    assert queries.kv_list(store, "a/").index == 5, "the table's: never lower than before"


def test_keys_with_a_separator_are_cut_and_told_once():
    store = filled("a", "a/b", "a/c/d", "b")
    assert queries.kv_keys(store, "", "/").rows == ["a", "a/", "b"]
    assert queries.kv_keys(store, "a/", "/").rows == ["a/b", "a/c/"]
    assert queries.kv_keys(store, "a").rows == ["a", "a/b", "a/c/d"]


def test_delete_tree_takes_the_plain_prefix():
    store = filled("web", "web/1", "web2", "x")
    store.execute(KVDeleteTree("web"))
    assert queries.kv_keys(store, "").rows == ["x"]


def woken(store: Store, topics, command) -> bool:
    calls: list[int] = []
    subscription = store.watches.subscribe(topics, lambda: calls.append(1))
    store.execute(command)
    store.flush()
    subscription.cancel()
    return bool(calls)


def test_only_readers_of_the_key_or_a_prefix_of_it_wake():
    store = filled("p/1")
    assert woken(store, queries.kv_get(store, "p/1").topics, KVSet("p/1", b"2"))
    assert not woken(store, queries.kv_get(store, "p/1").topics, KVSet("p/2", b"2"))
    assert woken(store, queries.kv_list(store, "p/").topics, KVSet("p/3", b"2"))
    assert woken(store, queries.kv_keys(store, "").topics, KVDelete("p/3"))
    assert not woken(store, queries.kv_list(store, "q/").topics, KVSet("p/4", b"2"))
    assert not woken(store, queries.kv_get(store, "p/1").topics, KVSet("p/1", b"2")), "nothing changed"


@given(st.lists(st.text(max_size=4), max_size=30), st.text(max_size=3))
def test_a_prefix_lists_exactly_the_keys_that_start_with_it(keys: list[str], prefix: str):
    store = filled(*keys)
    assert queries.kv_keys(store, prefix).rows == sorted({key for key in keys if key.startswith(prefix)})
