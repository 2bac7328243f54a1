"""PQ3, C22: which instances a prepared query gives, and in which order."""

from __future__ import annotations

import random

import msgspec
import pytest

from meshagent.catalog import commands as c
from meshagent.catalog.model import (
    Check,
    Coordinate,
    CoordinateRow,
    Node,
    PreparedQuery,
    Proxy,
    QueryFailover,
    QueryService,
    QueryTarget,
    Service,
    ServiceEntry,
)
from meshagent.catalog.peering.commands import ImportedReplace, PeeringSet
from meshagent.catalog.peering.model import Peering
from meshagent.catalog.query_execution import Execution, Source, execute
from meshagent.catalog.store import Store

#: Four instances on four nodes: rack a: app1 passing, app2 warning; rack b: app3 critical, app4 passing.
SCENE = [
    ("h1", "a", ("blue", "v1"), "passing"),
    ("h2", "a", ("Blue", "v2"), "warning"),
    ("h3", "b", ("green", "v1"), "critical"),
    ("h4", "b", ("green", "v2"), "passing"),
]


H1 = Source("h1")


@pytest.fixture
def store() -> Store:
    store = Store()
    for number, (name, rack, tags, status) in enumerate(SCENE, 1):
        store.execute(
            c.Register(
                Node(name=name, address=f"10.2.0.{number}", datacenter="dc1", meta={"rack": rack}),
                Service(id=f"app{number}", name="app", tags=tags, meta={"n": str(number)}),
                (Check(node=name, check_id=f"c{number}", status=status, service_id=f"app{number}"),),
            )
        )
    return store


def place(store: Store, **distances: float) -> None:
    rows = (CoordinateRow(node=n, coord=Coordinate(vec=(d, *[0.0] * 7), error=0.1)) for n, d in distances.items())
    store.execute(c.CoordinateBatch(tuple(rows)))


def run(store: Store, *, source: Source = H1, seed: int = 1, near: str = "", limit: int = 0, **service: object):
    query = PreparedQuery(id="1", name="q", service=msgspec.structs.replace(QueryService(service="app"), **service))
    return execute(store, query, source, random.Random(seed), datacenter="dc1", near=near, limit=limit)


def ids(execution: Execution) -> list[str]:
    return [entry.service.id for entry in execution.entries]


@pytest.mark.parametrize(
    ("service", "found"),
    [
        ({}, ["app1", "app2", "app4"]),
        ({"service": "APP"}, ["app1", "app2", "app4"]),
        ({"only_passing": True}, ["app1", "app4"]),
        ({"ignore_check_ids": ("c3",)}, ["app1", "app2", "app3", "app4"]),
        ({"ignore_check_ids": ("c2",), "only_passing": True}, ["app1", "app2", "app4"]),
        ({"tags": ("BLUE",)}, ["app1", "app2"]),
        ({"tags": ("!green",)}, ["app1", "app2"]),
        ({"tags": ("blue", "!V2")}, ["app1"]),
        ({"tags": ("blue", "")}, []),
        ({"node_meta": {"rack": "b"}}, ["app4"]),
        ({"service_meta": {"n": "4"}}, ["app4"]),
        ({"service_meta": {"n": "4", "x": ""}}, []),
        ({"service": "nothing"}, []),
        ({"connect": True}, []),
        ({"peer": "p"}, []),
    ],
)
def test_pq3_which_instances(store, service, found):
    assert sorted(ids(run(store, **service))) == found


def test_pq3_connect_gives_proxies(store):
    proxy = Service(id="p", name="app-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="app"))
    store.execute(c.Register(store.registrations.nodes["h1"], proxy))
    assert ids(run(store, connect=True)) == ["p"]


def test_d23_the_order_is_drawn_and_repeatable(store):
    orders = {tuple(ids(run(store, seed=seed))) for seed in range(40)}
    assert len(orders) == 6
    assert ids(run(store, seed=3)) == ids(run(store, seed=3))
    assert not run(store).sorted


def test_drawing_leaves_the_catalog_as_it_is(store):
    before = store.registrations.entries("app")
    run(store, seed=5)
    assert store.registrations.entries("app") == before


@pytest.mark.parametrize(
    ("near", "source", "found"),
    [
        ("h4", Source("h1"), ["app4", "app2", "app1"]),
        ("H1", Source(""), ["app1", "app2", "app4"]),
        ("_agent", Source("h2"), ["app2", "app1", "app4"]),
        ("_ip", Source("h2", "10.2.0.4"), ["app4", "app2", "app1"]),
    ],
)
def test_c22_near(store, near, source, found):
    place(store, h1=0.0, h2=0.02, h4=0.05)
    for seed in range(5):
        done = run(store, near=near, source=source, seed=seed)
        assert (ids(done), done.sorted) == (found, True)
        assert ids(run(store, service="app", near="", source=source, seed=seed)) != [] and "coordinates" in done.topics


def test_c22_the_asker_overrules_the_definition_and_unknown_nodes_go_last(store):
    place(store, h1=0.0, h2=0.02)
    query = PreparedQuery(service=QueryService(service="app", near="h1"))
    done = execute(store, query, Source(), random.Random(1), datacenter="dc1", near="h2")
    assert ids(done) == ["app2", "app1", "app4"]


@pytest.mark.parametrize("near", ["nobody", "_ip"])
def test_c22_an_unknown_origin_leaves_the_draw(store, near):
    place(store, h1=0.0, h2=0.02, h4=0.05)
    orders = {tuple(ids(run(store, near=near, seed=seed, source=Source("h1", "10.9.9.9")))) for seed in range(40)}
    assert len(orders) == 6
    assert not run(store, near=near, source=Source("h1")).sorted


def test_c22_the_asked_node_comes_first_without_coordinates(store):
    for seed in range(5):
        done = run(store, near="h4", seed=seed)
        assert (ids(done)[0], done.sorted) == ("app4", True)


def test_pq3_limit(store):
    place(store, h1=0.0, h2=0.02, h4=0.05)
    assert ids(run(store, near="h1", limit=2)) == ["app1", "app2"]
    assert len(ids(run(store, limit=9))) == 3


@pytest.mark.parametrize(
    ("failover", "datacenter", "peer", "failovers"),
    [
        (QueryFailover(), "dc1", "", 0),
        (QueryFailover(nearest_n=2, datacenters=("dc2", "dc3")), "dc1", "", 0),
        (QueryFailover(targets=(QueryTarget(datacenter="dc2"), QueryTarget(peer="p"))), "", "p", 1),
        (QueryFailover(targets=(QueryTarget(peer="p"), QueryTarget(peer="r"))), "", "r", 2),
    ],
)
def test_pq3_failover_finds_no_place_yet(store, failover, datacenter, peer, failovers):
    done = run(store, service="nothing", failover=failover)
    assert (done.datacenter, done.peer, done.failovers) == (datacenter, peer, failovers)
    here = run(store, failover=failover)
    assert (here.datacenter, here.peer, here.failovers) == ("dc1", "", 0)


def test_topics_name_what_changes_the_answer(store):
    assert run(store).topics == ("prepared-queries", ("service-health", "app"))
    assert run(store, connect=True).topics == ("prepared-queries", ("connect", "app"))
    assert ("address", "10.2.0.4") in run(store, near="_ip", source=Source("h1", "10.2.0.4")).topics


def test_a_query_goes_on_at_a_peer(store):
    store.execute(PeeringSet(Peering(id="i", name="p")))
    store.execute(PeeringSet(Peering(id="j", name="r")))
    far = ServiceEntry(Node(name="far", address="10.9.0.1"), Service(id="gone", name="gone", port=9), ())
    targets = QueryFailover(targets=(QueryTarget(peer="p"), QueryTarget(peer="r")))
    query = PreparedQuery(service=QueryService(service="gone", failover=targets))
    empty = execute(store, query, Source(), random.Random(1), datacenter="dc1")
    woken = []
    store.watches.subscribe(empty.topics, lambda: woken.append(1))
    store.execute(ImportedReplace("r", "gone", (far,)))
    store.flush()
    assert woken == [1]
    done = execute(store, query, Source(), random.Random(1), datacenter="dc1", limit=1)
    assert [entry.node.name for entry in done.entries] == ["far"]
    assert (done.datacenter, done.peer, done.failovers) == ("", "r", 2)
    query = PreparedQuery(service=QueryService(service="gone", peer="r"))
    own = execute(store, query, Source(), None, datacenter="dc1")
    assert ([entry.node.name for entry in own.entries], own.peer, own.failovers) == (["far"], "r", 0)
