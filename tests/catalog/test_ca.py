"""The table of the certificate authority (surface rows M60, M64, M65)."""

from __future__ import annotations

import msgspec

from meshagent.catalog import commands as c
from meshagent.catalog.ca import CAConfig, CAKey, CARoot
from meshagent.catalog.store import Store

AT = "2024-01-01T00:00:00+00:00"


def root(name: str) -> CARoot:
    return CARoot(name, "n", 7, "ski", "td", AT, AT, "pem")


def configured() -> Store:
    store = Store()
    assert store.execute(c.CASet(CAConfig(), 0, AT, "cluster"))
    assert store.execute(c.CASet(CAConfig(), 2, AT, root=root("a"), key=CAKey("a", b"key")))
    return store


def test_the_trust_domain_is_the_cluster_id_and_stays() -> None:
    store = configured()
    assert store.ca.trust_domain == "cluster.consul"
    assert store.execute(c.CASet(CAConfig(), 3, AT, "another"))
    assert store.ca.cluster_id == "cluster"
    assert Store().ca.trust_domain == ""


def test_a_write_over_another_configuration_than_expected_changes_nothing() -> None:
    store = configured()
    before = store.ca.state()
    assert store.execute(c.CASet(CAConfig("vault"), 2, AT, root=root("b"))) is False
    assert store.ca.state() == before


def test_configuration_keeps_its_create_index_and_roots_are_left_alone() -> None:
    store = configured()
    assert store.execute(c.CASet(CAConfig(config={"x": 1}), 3, AT))
    assert store.ca.config == CAConfig(config={"x": 1}, create_index=2, modify_index=4)
    assert store.ca.roots_index == 3


def test_rotation_keeps_the_old_root_trusted_and_moves_its_index() -> None:
    store = configured()
    assert store.execute(c.CASet(CAConfig(), 3, AT, root=root("b"), key=CAKey("b", b"key b")))
    old, new = store.ca.roots["a"], store.ca.roots["b"]
    assert (old.active, old.create_index, old.modify_index, old.rotated_out_at) == (False, 3, 4, AT)
    assert (new.active, new.create_index, new.modify_index) == (True, 4, 4)
    assert store.ca.active == new
    assert store.ca.key_of(new) == CAKey("b", b"key b")


def test_only_what_is_not_active_is_dropped_with_its_key() -> None:
    store = configured()
    store.execute(c.CASet(CAConfig(), 3, AT, root=root("b"), key=CAKey("b", b"key b")))
    store.execute(c.CADrop(("a", "b", "zork")))
    assert list(store.ca.roots) == ["b"]
    assert list(store.ca.keys) == ["b"]
    assert store.ca.roots_index == 5


def test_serials_are_never_given_twice() -> None:
    store = configured()
    assert store.execute(c.CASerials(3)) == (1, 4)
    assert store.execute(c.CASerials()) == (4, 5)
    assert store.ca.roots_index == 3


def test_it_survives_a_snapshot() -> None:
    store = configured()
    store.execute(c.CASerials(3))
    again = Store()
    again.restore(store.snapshot())
    assert again.ca.state() == store.ca.state()
    assert again.digest() == store.digest()


def test_rotation_wakes_who_watches_the_roots() -> None:
    store = configured()
    woken: list[str] = []
    store.watches.subscribe(["ca-roots"], lambda: woken.append("roots"))
    store.execute(c.CASet(CAConfig(), 3, AT))
    store.flush()
    assert woken == []
    store.execute(c.CASet(CAConfig(), 4, AT, root=root("b")))
    store.flush()
    assert woken == ["roots"]


def test_a_secondary_takes_over_the_primarys_roots_and_keeps_its_own_indexes() -> None:
    store = configured()
    first = c.CAAdopt("primary", (root("p"), root("q")), 3, CAKey("p", b"mine"))
    assert store.execute(first) is True
    assert (store.ca.trust_domain, list(store.ca.roots), list(store.ca.keys)) == ("primary.consul", ["p", "q"], ["p"])
    assert store.ca.roots_index == 4
    assert store.execute(c.CAAdopt("primary", (root("r"),), 3)) is False  # made for other roots than these
    gone = msgspec.structs.replace(root("p"), active=False)
    assert store.execute(c.CAAdopt("primary", (gone, root("q"), root("r")), 4, CAKey("r", b"k"))) is True
    rows = store.ca.roots
    assert [(at, row.create_index, row.modify_index) for at, row in rows.items()] == [
        ("p", 4, 6), ("q", 4, 4), ("r", 6, 6),
    ]  # fmt: skip
    assert store.execute(c.CAAdopt("primary", (root("q"),), 6)) is True
    assert store.ca.keys == {}
