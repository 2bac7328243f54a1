"""How long commands take, by kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from meshagent.agent.fsm_metrics import EVERY, MeasuredStore
from meshagent.catalog.commands import KVDelete, KVSet, SessionDestroy, encode
from meshagent.errors import CorruptData
from meshagent.metrics import Metrics

NOW = datetime(2024, 1, 1, tzinfo=UTC)


class Stopwatch:
    """Every look takes a millisecond."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks / 1000


def measured() -> tuple[MeasuredStore, Metrics, Stopwatch]:
    store, metrics, watch = MeasuredStore(), Metrics(), Stopwatch()
    store.measure(metrics, watch)
    return store, metrics, watch


def samples(metrics: Metrics) -> dict[tuple[str, str], Any]:
    rows = metrics.display(NOW)["Samples"]
    return {(row["Name"], row["Labels"].get("op", "")): row for row in rows if row["Name"].startswith("consul.fsm")}


def test_commands_are_counted_by_kind_and_operation() -> None:
    store, metrics, _ = measured()
    for number in range(3):
        store.apply(encode(KVSet(f"k{number}", b"1")))
    store.apply(encode(KVDelete("k0")))
    store.apply(encode(SessionDestroy("x")))
    found = samples(metrics)
    assert found["consul.fsm.kvs", "set"]["Count"] == 3
    assert found["consul.fsm.kvs", "set"]["Mean"] == pytest.approx(1)
    assert found["consul.fsm.kvs", "delete"]["Count"] == 1
    assert found["consul.fsm.session", "destroy"]["Count"] == 1
    assert store.kv.entries.keys() == {"k1", "k2"}


def test_the_clock_is_rarely_asked_and_nothing_is_lost() -> None:
    store, metrics, watch = measured()
    count = 10 * EVERY + 3
    for number in range(count):
        store.apply(encode(KVSet(f"k{number}", b"1")))
    assert watch.looks <= 2 * (count // EVERY + 1)
    assert samples(metrics)["consul.fsm.kvs", "set"]["Count"] == count


def test_what_is_refused_counts_too() -> None:
    store, metrics, _ = measured()
    for _ in range(2):
        with pytest.raises(CorruptData):
            store.apply(encode(KVSet("k", b"1"))[:-1])
    assert samples(metrics)["consul.fsm.kvs", "set"]["Count"] == 2
    with pytest.raises(CorruptData):
        store.apply(b"")


def test_a_restored_store_is_measured_on() -> None:
    store, metrics, _ = measured()
    store.apply(encode(KVSet("k", b"1")))
    store.restore(list(store.snapshot()))
    store.apply(encode(KVSet("l", b"1")))
    assert samples(metrics)["consul.fsm.kvs", "set"]["Count"] == 2
