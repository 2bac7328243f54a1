from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.httpapi import instance

from meshagent.agent.rpc.questions import QUESTIONS, decode_rows, encode_rows
from meshagent.catalog import commands
from meshagent.catalog.model import Node, PreparedQuery, Proxy, QueryDns, QueryService, Service, ServiceEntry
from meshagent.catalog.peering.commands import ImportedReplace, PeeringSet, TrustBundleSet
from meshagent.catalog.peering.imported import at_peer
from meshagent.catalog.peering.model import Peering, TrustBundle
from meshagent.catalog.store import Store
from meshagent.errors import RemoteProtocolError


@pytest.fixture
def store() -> Store:
    made = Store()
    made.execute(instance("A", "web", tags=("v1",)))
    made.execute(instance("b", "web", number=1, status="critical"))
    query = PreparedQuery(id="11111111-2222-3333-4444-555555555555", name="q", service=QueryService(service="web"))
    made.execute(commands.PreparedQuerySet(query))
    return made


def read(store: Store, kind: str, name: str) -> object:
    value, topics = QUESTIONS[kind].read(store, name, "a", "dc1")
    assert topics
    tables = {"ingress", "mesh-services", "peer-roots", "query", "query-connect", "roots"}
    assert all(type(topic) is tuple for topic in topics) or kind in tables
    found = decode_rows(kind, encode_rows(value))
    assert found == (tuple(value) if isinstance(value, list) else value)
    return found


@pytest.mark.parametrize("kind", QUESTIONS)
def test_every_kind_is_read_and_decoded_whether_there_is_something_or_not(store: Store, kind: str) -> None:
    for name in ("web", "q", "a", "10.0.0.1", "none"):
        read(store, kind, name)


def test_what_they_give(store: Store) -> None:
    assert [entry.node.name for entry in read(store, "service", "WEB")] == ["A", "b"]  # type: ignore[attr-defined]
    assert read(store, "connect", "web") == ()
    assert read(store, "node", "a").address == "10.0.0.1"  # type: ignore[union-attr]
    assert read(store, "node", "nope") is None
    assert read(store, "address", "10.0.0.2").node == "b"  # type: ignore[attr-defined]
    assert read(store, "query", "q").service == "web"  # type: ignore[attr-defined]
    assert read(store, "query", "nope") is None
    rows = read(store, "node-rows", "b")
    assert [check.status for check in rows.checks] == ["critical"]  # type: ignore[attr-defined]
    assert read(store, "virtual-ip", "web") == ""


@pytest.mark.parametrize("kind", QUESTIONS)
@given(raw=st.binary(max_size=100))
def test_any_bytes_decode_or_are_refused(kind: str, raw: bytes) -> None:
    try:
        decode_rows(kind, raw)
    except RemoteProtocolError:
        pass


def test_a_change_is_told_by_the_topics(store: Store) -> None:
    for kind, name, change in (
        ("service", "web", instance("b", "web", number=1)),
        ("service", "new", instance("b", "new", number=2)),
        ("node-rows", "a", instance("A", "web", status="warning")),
        ("address", "10.0.0.3", instance("c", "x", number=2)),
        ("node", "d", instance("d", "x")),
    ):
        fired: list[str] = []
        _, topics = QUESTIONS[kind].read(store, name, "a", "dc1")
        store.watches.subscribe(topics, lambda kind=kind, fired=fired: fired.append(kind))  # type: ignore[misc]
        store.execute(change)
        store.flush()
        assert fired == [kind]


def test_the_ttl_of_a_query_goes_along(store: Store) -> None:
    query = PreparedQuery(
        id="21111111-2222-3333-4444-555555555555", name="t", service=QueryService(service="web"), dns=QueryDns(ttl="7s")
    )
    store.execute(commands.PreparedQuerySet(query))
    assert read(store, "query", "t").ttl == "7s"  # type: ignore[attr-defined]


def test_what_is_a_peers_is_asked_for_by_name_and_peer(store: Store) -> None:
    store.execute(PeeringSet(Peering(id="i", name="east")))
    proxy = Proxy(destination_service_name="web")
    far = Node(name="far", address="10.9.0.1")
    rows = (
        ServiceEntry(far, Service(id="web", name="web"), ()),
        ServiceEntry(far, Service(id="p", name="p", kind="connect-proxy", proxy=proxy), ()),
    )
    for row in rows:
        store.execute(ImportedReplace("east", row.service.name, (row,)))
    store.execute(TrustBundleSet(TrustBundle(peer="east", trust_domain="east.consul", roots=("pem",))))
    for kind in ("service", "connect", "mesh-instances"):
        (entry,) = read(store, kind, at_peer("web", "east"))  # type: ignore[misc]
        assert entry.node.name == "far"
        assert read(store, kind, at_peer("web", "west")) == ()
    assert read(store, "virtual-ip", at_peer("web", "east")) == "240.0.0.1"
    assert read(store, "node", at_peer("far", "east")).address == "10.9.0.1"  # type: ignore[union-attr]
    (bundle,) = read(store, "peer-roots", "")  # type: ignore[misc]
    assert (bundle.peer, bundle.roots) == ("east", ("pem",))
