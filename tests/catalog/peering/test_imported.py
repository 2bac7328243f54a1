"""What is imported from peers (surface rows HL3, D8, D10): never mixed with what is registered here."""

from __future__ import annotations

import pytest

from meshagent.catalog import commands as c
from meshagent.catalog import queries
from meshagent.catalog.model import Check, Node, Proxy, Service, ServiceEntry
from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.imported import at_peer, peer_topic, split_peer
from meshagent.catalog.peering.model import Peering
from meshagent.catalog.store import Store


def entry(
    node: str = "n1", id: str = "web", name: str = "web", status: str = "passing", **service: object
) -> ServiceEntry:
    checks = (
        Check(node=node, check_id="serfHealth", status="passing"),
        Check(node=node, check_id=f"c-{id}", service_id=id, service_name=name, status=status),
    )
    return ServiceEntry(Node(name=node, address="10.9.0.1"), Service(id=id, name=name, port=80, **service), checks)  # type: ignore[arg-type]


@pytest.fixture
def store() -> Store:
    store = Store()
    store.execute(p.PeeringSet(Peering(id="i-1", name="east")))
    return store


def imported(store: Store, name: str = "web") -> list[tuple[str, str]]:
    return [(row.node.name, row.service.id) for row in queries.health_service(store, name, peer="east").rows]


def test_rows_carry_the_peer_and_stay_apart(store: Store) -> None:
    store.execute(p.ImportedReplace("east", "web", (entry(),)))
    assert queries.health_service(store, "web").rows == []
    assert queries.nodes(store).rows == []
    assert queries.health_service(store, "web", peer="west").rows == []
    (row,) = queries.health_service(store, "web", peer="east").rows
    assert (row.node.peer_name, row.service.peer_name, {check.peer_name for check in row.checks}) == (
        "east", "east", {"east"},
    )  # fmt: skip
    assert list(queries.services(store, peer="east").rows) == ["web"]
    assert store.imported.service_names("EAST") == ["web"]


def test_an_update_is_the_whole_truth_of_a_service(store: Store) -> None:
    store.execute(p.ImportedReplace("east", "web", (entry(), entry("n2"))))
    store.execute(p.ImportedReplace("east", "db", (entry("n2", "db", "db"),)))
    store.execute(p.ImportedReplace("east", "web", (entry("n1", status="critical"),)))
    assert imported(store) == [("n1", "web")]
    assert imported(store, "db") == [("n2", "db")]
    assert [row.checks[1].status for row in queries.health_service(store, "web", peer="east").rows] == ["critical"]
    store.execute(p.ImportedReplace("east", "web", ()))
    assert imported(store) == []
    assert [node.name for node in queries.nodes(store, peer="east").rows] == ["n2"]


def test_a_check_that_is_gone_there_goes_here(store: Store) -> None:
    store.execute(p.ImportedReplace("east", "web", (entry(),)))
    bare = entry()
    store.execute(p.ImportedReplace("east", "web", (ServiceEntry(bare.node, bare.service, bare.checks[:1]),)))
    (row,) = queries.health_service(store, "web", peer="east").rows
    assert [check.check_id for check in row.checks] == ["serfHealth"]


def test_another_node_under_the_same_name_takes_its_place(store: Store) -> None:
    first, second = "40e4a748-2192-161a-0510-9bf59fe950b5", "50e4a748-2192-161a-0510-9bf59fe950b5"
    for node_id in (first, second):
        made = entry()
        node = Node(name="n1", id=node_id, address="10.9.0.2")
        store.execute(p.ImportedReplace("east", "web", (ServiceEntry(node, made.service, made.checks),)))
    (row,) = queries.health_service(store, "web", peer="east").rows
    assert row.node.id == second


def test_nothing_is_imported_from_whom_nobody_knows(store: Store) -> None:
    store.execute(p.ImportedReplace("west", "web", (entry(),)))
    store.execute(p.PeeringTerminate("i-1"))
    store.execute(p.ImportedReplace("east", "web", (entry(),)))
    assert store.imported.peers == {}


def test_services_that_are_exported_no_more_go_in_slices(store: Store) -> None:
    store.execute(p.ImportedReplace("east", "web", tuple(entry(f"n{at}") for at in range(5))))
    store.execute(p.ImportedReplace("east", "db", (entry("n0", "db", "db"),)))
    assert not store.execute(p.ImportedKeep("east", ("DB",), 3))
    assert len(imported(store)) == 2
    assert store.execute(p.ImportedKeep("east", ("DB",), 3))
    assert (imported(store), imported(store, "db")) == ([], [("n0", "db")])


def test_a_purge_goes_in_slices_and_leaves_no_node(store: Store) -> None:
    store.execute(p.ImportedReplace("east", "web", tuple(entry(f"n{at}") for at in range(5))))
    store.execute(p.PeeringDelete("east", "2024-01-01T00:00:00Z"))
    done = [store.execute(p.PeeringPurge("i-1", 2)) for _ in range(3)]
    assert done == [False, False, True]
    assert (store.imported.peers, store.peerings.rows) == ({}, {})


def test_a_reader_is_woken_by_its_peer_only(store: Store) -> None:
    woken: list[str] = []
    for peer in ("east", "west", ""):
        found = queries.health_service(store, "web", peer=peer)
        store.watches.subscribe(found.topics, lambda peer=peer: woken.append(peer))  # type: ignore[misc]
    store.execute(p.ImportedReplace("east", "web", (entry(),)))
    store.flush()
    assert woken == ["east"]


def test_what_is_told_again_is_known(store: Store) -> None:
    proxy = Proxy(destination_service_name="web")
    rows = (entry(kind="connect-proxy", proxy=proxy), entry("n2"))
    assert not store.imported.holds("east", "web", rows)
    assert store.imported.holds("east", "web", ())
    store.execute(p.ImportedReplace("east", "web", rows))
    assert store.imported.holds("east", "web", rows)
    for other in ((), rows[:1], (rows[0], entry("n2", status="warning")), (rows[0], entry("n2", tags=("t",)))):
        assert not store.imported.holds("east", "web", other)


def test_others_than_those_that_are_named(store: Store) -> None:
    assert not store.imported.holds_others("east", ())
    store.execute(p.ImportedReplace("east", "web", (entry(),)))
    assert store.imported.holds_others("east", ("db",))
    assert not store.imported.holds_others("east", ("WEB", "db"))


def test_one_text_may_name_a_thing_and_its_peer() -> None:
    assert (at_peer("web", ""), at_peer("web", "east")) == ("web", "peer:east/web")
    assert (split_peer("web"), split_peer("peer:east/web")) == (("web", ""), ("web", "east"))


def test_topics_carry_the_peer() -> None:
    assert peer_topic("", "nodes") == "nodes"
    assert peer_topic("east", "nodes") == ("peer:east", "nodes")
    assert peer_topic("east", ("service", "web")) == ("peer:east", "service/web")


def test_virtual_addresses_come_from_one_pool(store: Store) -> None:
    proxy = Proxy(destination_service_name="web")
    local = Service(id="p", name="web-proxy", kind="connect-proxy", proxy=proxy)
    store.execute(c.Register(Node(name="n", address="10.0.0.1"), local))
    sidecar = entry("n1", "p", "web-sidecar-proxy", kind="connect-proxy", proxy=proxy)
    store.execute(p.ImportedReplace("east", "web-sidecar-proxy", (sidecar,)))
    assert store.registrations.virtual_ips.get("web") == "240.0.0.1"
    assert store.place("east").virtual_ips.get("web") == "240.0.0.2"
    assert store.place("west").virtual_ips.get("web") is None
    assert store.imported.service_names("east") == []


def test_it_is_in_snapshots(store: Store) -> None:
    proxy = Proxy(destination_service_name="web")
    store.execute(p.ImportedReplace("east", "p", (entry("n1", "p", "p", kind="connect-proxy", proxy=proxy),)))
    store.execute(p.ImportedReplace("east", "web", (entry(), entry("n2"))))
    store.execute(p.ImportedReplace("east", "web", (entry(),)))
    other = Store()
    other.restore(list(store.snapshot()))
    assert other.digest() == store.digest()
    assert imported(other) == imported(store)
    assert other.place("east").virtual_ips.get("web") == store.place("east").virtual_ips.get("web") == "240.0.0.1"
    before = queries.health_service(store, "web", peer="east")
    after = queries.health_service(other, "web", peer="east")
    assert (after.index, after.topics) == (before.index, before.topics)
