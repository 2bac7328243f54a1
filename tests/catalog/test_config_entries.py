"""The table of config entries (surface rows CF1-CF4)."""

from __future__ import annotations

from meshtest.config_entries import write

from meshagent.catalog import commands as c
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.store import Store


def test_the_same_again_changes_nothing() -> None:
    store = Store()
    assert write(store, {"Kind": "service-defaults", "Name": "a", "Meta": {"x": "1", "y": "2"}}) == ""
    first = store.config.get("service-defaults", "a")
    assert write(store, {"Kind": "service-defaults", "Name": "a", "Meta": {"y": "2", "x": "1"}}) == ""
    assert store.config.get("service-defaults", "A") is first
    assert store.config.index == 2


def test_the_hash_follows_the_content() -> None:
    store = Store()
    hashes = []
    for protocol in ("http", "grpc", "http"):
        store.execute(c.ConfigEntrySet(ServiceDefaults(name="a", protocol=protocol)))
        entry = store.config.get("service-defaults", "a")
        assert entry is not None
        hashes.append(entry.hash)
    assert hashes[0] == hashes[2] != hashes[1]
    assert 0 < hashes[0] < 2**64


def test_compare_and_set() -> None:
    store = Store()
    http, grpc = ServiceDefaults(name="a", protocol="http"), ServiceDefaults(name="a", protocol="grpc")
    assert store.execute(c.ConfigEntrySet(http, cas=5)) is False
    assert store.execute(c.ConfigEntrySet(http, cas=0)) is True
    entry = store.config.get("service-defaults", "a")
    assert entry is not None
    assert store.execute(c.ConfigEntrySet(grpc, cas=0)) is False
    assert store.execute(c.ConfigEntrySet(grpc, cas=entry.modify_index)) is True
    assert store.execute(c.ConfigEntryDelete("service-defaults", "a", cas=entry.modify_index)) is False
    changed = store.config.get("service-defaults", "a")
    assert changed is not None
    assert (changed.create_index, changed.modify_index) == (entry.create_index, 5)
    assert store.execute(c.ConfigEntryDelete("service-defaults", "a", cas=5)) is True
    assert store.execute(c.ConfigEntryDelete("service-defaults", "a", cas=5)) is False
    assert store.execute(c.ConfigEntryDelete("service-defaults", "a")) is True


def test_all_goes_by_kind_and_name() -> None:
    store = Store()
    for kind, name in (("service-resolver", "a"), ("service-defaults", "b"), ("service-defaults", "a")):
        assert write(store, {"Kind": kind, "Name": name}) == ""
    assert [(one.kind, one.name) for one in store.config.all()] == [
        ("service-defaults", "a"),
        ("service-defaults", "b"),
        ("service-resolver", "a"),
    ]
    assert [one.name for one in store.config.of_kind("service-defaults")] == ["a", "b"]
