from __future__ import annotations

import pytest

from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.model import ACTIVE, DELETING, ESTABLISHING, PENDING, TERMINATED, Peering, TrustBundle
from meshagent.catalog.store import Store
from meshagent.errors import InternalError


@pytest.fixture
def store() -> Store:
    store = Store()
    store.execute(p.PeeringSet(Peering(id="i-1", name="east"), establishment="once"))
    return store


def test_a_name_belongs_to_one_id(store: Store) -> None:
    with pytest.raises(InternalError, match=r'already exists with the name "east" and a different ID "i-1"'):
        store.execute(p.PeeringSet(Peering(id="i-2", name="east")))
    store.execute(p.PeeringSet(Peering(id="i-1", name="east", meta={"a": "b"})))
    row = store.peerings.rows["east"]
    assert (row.meta, row.create_index, row.modify_index) == ({"a": "b"}, 2, 4)
    assert store.peerings.of_id("i-1") is row
    assert store.peerings.secrets_of("i-1").establishment == "once"  # kept by a write without one


def test_the_secret_of_a_token_is_good_once(store: Store) -> None:
    assert not store.execute(p.PeeringExchange("i-1", "other", "p"))
    assert not store.execute(p.PeeringExchange("i-9", "once", "p"))
    assert store.execute(p.PeeringExchange("i-1", "once", "p"))
    assert not store.execute(p.PeeringExchange("i-1", "once", "q"))
    assert store.peerings.may_open("i-1", "p")
    assert not store.peerings.may_open("i-1", "once")


def test_a_pending_secret_becomes_the_active_one_when_it_is_used(store: Store) -> None:
    store.execute(p.PeeringExchange("i-1", "once", "p"))
    assert store.peerings.rows["east"].state == PENDING
    assert store.execute(p.PeeringActivate("i-1", "p", "", "dc2"))
    row = store.peerings.rows["east"]
    assert (row.state, row.remote.datacenter) == (ACTIVE, "dc2")
    store.execute(p.PeeringSet(row, establishment="again"))
    store.execute(p.PeeringExchange("i-1", "again", "p2"))
    assert store.peerings.may_open("i-1", "p")  # until the new one is used
    assert store.peerings.may_open("i-1", "p2")
    store.execute(p.PeeringActivate("i-1", "p2"))
    assert not store.peerings.may_open("i-1", "p")
    assert store.peerings.may_open("i-1", "p2")


def test_no_digest_opens_what_has_no_secret(store: Store) -> None:
    assert not store.peerings.may_open("i-1", "")
    assert not store.peerings.may_open("i-9", "")


def test_deleting_ends_with_what_was_imported(store: Store) -> None:
    store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t", roots=("pem",))))
    store.execute(p.PeeringDelete("east", "2024-01-01T00:00:00Z"))
    store.execute(p.PeeringDelete("nobody", "2024-01-01T00:00:00Z"))
    row = store.peerings.rows["east"]
    assert (row.state, row.deleted_at) == (DELETING, "2024-01-01T00:00:00Z")
    with pytest.raises(InternalError, match="it is being deleted"):
        store.execute(p.PeeringSet(Peering(id="i-1", name="east")))
    assert not store.execute(p.PeeringActivate("i-1"))
    assert store.execute(p.PeeringPurge("i-1", 10))
    assert (store.peerings.rows, store.peerings.secrets, store.peerings.bundles) == ({}, {}, {})
    assert store.peerings.of_id("i-1") is None
    assert store.execute(p.PeeringPurge("i-1", 10))  # nothing to do


def test_what_the_other_side_deleted_stays_to_be_seen(store: Store) -> None:
    store.execute(p.PeeringExchange("i-1", "once", "p"))
    store.execute(p.PeeringTerminate("i-1"))
    assert store.peerings.rows["east"].state == TERMINATED
    assert not store.peerings.may_open("i-1", "p")
    store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t")))
    assert store.peerings.bundles == {}
    assert store.execute(p.PeeringPurge("i-1", 10))
    assert "east" in store.peerings.rows


def test_a_living_peering_is_not_purged(store: Store) -> None:
    store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t")))
    assert store.execute(p.PeeringPurge("i-1", 10))
    assert "east" in store.peerings.bundles


def test_roots_keep_their_index_while_they_are_the_same(store: Store) -> None:
    for _ in range(2):
        store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t", roots=("pem",))))
    assert store.peerings.bundles["east"].modify_index == 3
    store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t", roots=("other",))))
    assert (store.peerings.bundles["east"].create_index, store.peerings.bundles["east"].modify_index) == (3, 5)


def test_no_two_peers_speak_for_one_trust_domain(store: Store) -> None:
    store.execute(p.PeeringSet(Peering(id="i-2", name="west")))
    store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t", roots=("pem",))))
    store.execute(p.TrustBundleSet(TrustBundle(peer="west", trust_domain="t", roots=("other",))))
    assert list(store.peerings.bundles) == ["east"]
    store.peerings.mirror_bundles([TrustBundle(peer="west", trust_domain="t")])
    assert list(store.peerings.bundles) == ["west"]


def test_addresses_are_told_and_nothing_moves_when_they_are_the_same(store: Store) -> None:
    store.execute(p.PeeringSet(Peering(id="i-2", name="west", dials=True, state=ESTABLISHING)))
    for _ in range(2):
        store.execute(p.PeeringTell("i-2", ("10.0.0.1:8503",)))
    row = store.peerings.rows["west"]
    assert (row.server_addresses, row.modify_index) == (("10.0.0.1:8503",), 4)


def test_it_is_in_snapshots(store: Store) -> None:
    store.execute(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t", roots=("pem",))))
    other = Store()
    other.restore(list(store.snapshot()))
    assert other.digest() == store.digest()
    assert (other.peerings.rows, other.peerings.secrets, other.peerings.bundles, other.peerings.index) == (
        store.peerings.rows, store.peerings.secrets, store.peerings.bundles, store.peerings.index,
    )  # fmt: skip
    assert other.peerings.of_id("i-1") == store.peerings.of_id("i-1")
