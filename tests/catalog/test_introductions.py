"""Which node an introduction is for, once it was used."""

from __future__ import annotations

from meshagent.catalog.commands import IntroductionTake
from meshagent.catalog.introductions import UsedIntroduction
from meshagent.catalog.store import Store


def test_the_first_node_keeps_it_until_it_has_ended() -> None:
    store = Store()
    assert store.execute(IntroductionTake(b"a", "c1", 200, 100)) == "c1"
    assert store.execute(IntroductionTake(b"a", "c2", 200, 110)) == "c1"
    assert store.execute(IntroductionTake(b"a", "c1", 200, 120)) == "c1"
    assert store.execute(IntroductionTake(b"b", "c2", 300, 199)) == "c2"
    assert set(store.introductions.rows) == {b"a", b"b"}
    assert store.execute(IntroductionTake(b"c", "c3", 300, 200)) == "c3"
    assert set(store.introductions.rows) == {b"b", b"c"}


def test_it_is_in_snapshots() -> None:
    store, other = Store(), Store()
    store.execute(IntroductionTake(b"a", "c1", 200, 100))
    other.restore(list(store.snapshot()))
    assert other.introductions.rows == {b"a": UsedIntroduction(b"a", "c1", 200)}
    assert other.digest() == store.digest()
