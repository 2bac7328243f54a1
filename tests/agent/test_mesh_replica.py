"""What a client knows of the mesh, in the tables of its own store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshagent.agent.mesh_replica import KINDS, TOLD, MeshReplica
from meshagent.agent.rpc import questions
from meshagent.agent.rpc.questions import QUESTIONS, decode_rows, encode_rows
from meshagent.catalog import commands as c
from meshagent.catalog.ca import CAConfig, CAKey, CARoot
from meshagent.catalog.config_entries import WatchedEntries
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.table import parse
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES
from meshagent.catalog.mesh_services import MeshService
from meshagent.catalog.model import Node, PreparedQuery, Proxy, QueryService, Service, Upstream
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic, Watches
from meshagent.clock import VirtualClock
from meshagent.connect.central import merged_proxy
from meshagent.connect.intentions import Default
from meshagent.connect.parts import SnapshotParts
from meshagent.dns.view import NotYet
from meshagent.errors import Unavailable

AT = "2024-01-01T00:00:00Z"
ROOT = CARoot("r", "n", 7, "s", "t", AT, AT, "pem")


class FakeRows:
    """Rows straight from a server's store, through the codec; they come when `tell` is called."""

    def __init__(self, server: Store) -> None:
        self.server = server
        self.watches = Watches()
        self.known: dict[tuple[str, str], Any] = {}
        self.pinned: set[tuple[str, str]] = set()

    def pin(self, kind: str, name: str) -> Topic:
        self.pinned.add((kind, name))
        return ("rows", f"{kind} {name}")

    def unpin(self, kind: str, name: str) -> None:
        self.pinned.remove((kind, name))

    def need(self, kind: str, name: str) -> tuple[Any, Topic]:
        if (kind, name) not in self.known:
            raise NotYet(lambda: None)  # type: ignore[arg-type,return-value]
        return self.known[kind, name], ("rows", f"{kind} {name}")

    def tell(self) -> None:
        for kind, name in self.pinned:
            value, _ = QUESTIONS[kind].read(self.server, name, "n", "dc1")
            self.known[kind, name] = decode_rows(kind, encode_rows(value))
            self.watches.notify(("rows", f"{kind} {name}"))
        self.watches.flush()


@pytest.fixture
def world() -> tuple[Store, FakeRows, Store, MeshReplica]:
    server, client = Store(), Store()
    rows = FakeRows(server)
    replica = MeshReplica(rows, client, VirtualClock())  # type: ignore[arg-type]
    replica.follow()
    return server, rows, client, replica


async def test_entries_and_roots_come_without_a_key_and_wake_who_watches(world: Any) -> None:
    server, rows, client, replica = world
    asked = asyncio.ensure_future(replica.known())
    await replica._clock.advance(0.1)
    assert not asked.done()
    woken: list[str] = []
    for topic in ("ca-roots", ("config-entry", "service-defaults/web"), ("config-entry", "service-defaults/other")):
        client.watches.subscribe([topic], lambda topic=topic: woken.append(topic))
    server.execute(c.CASet(CAConfig(), 0, AT, "cluster", ROOT, CAKey("r", b"secret")))
    server.execute(c.ConfigEntrySet(parse({"Kind": "service-defaults", "Name": "web", "Protocol": "http"}), None, AT))
    rows.tell()
    await replica._clock.advance(0.1)
    assert asked.done()
    assert set(woken) == {"ca-roots", ("config-entry", "service-defaults/web")}
    assert client.ca.trust_domain == "cluster.consul"
    assert client.ca.active.root_cert == "pem"
    assert client.ca.keys == {}
    assert client.config.get("service-defaults", "web") == server.config.get("service-defaults", "web")
    server.execute(c.ConfigEntryDelete("service-defaults", "web", None, AT))
    rows.tell()
    assert client.config.get("service-defaults", "web") is None


def test_no_private_key_is_ever_sent() -> None:
    server = Store()
    server.execute(c.CASet(CAConfig(), 0, AT, "cluster", ROOT, CAKey("r", b"secret")))
    value, topics = QUESTIONS[questions.ROOTS].read(server, "", "n", "dc1")
    assert b"secret" not in encode_rows(value)
    assert set(topics) == {"ca-roots", "ca-config"}


def test_instances_are_followed_from_the_first_question_on(world: Any) -> None:
    server, rows, client, replica = world
    woken: list[int] = []
    assert replica.instances("DB") == ((), (("told-mesh-instances", "db"),))
    client.watches.subscribe([("told-mesh-instances", "db")], lambda: woken.append(1))
    proxy = Service(kind="connect-proxy", id="p", name="p", port=1, proxy=Proxy(destination_service_name="db"))
    server.execute(c.Register(Node(name="n", address="10.0.0.1"), proxy))
    rows.tell()
    assert woken == [1]
    found, _ = replica.instances("db")
    assert [entry.service.id for entry in found] == ["p"]


def test_what_a_prepared_query_finds_is_followed_from_the_first_question_on(world: Any) -> None:
    server, rows, client, replica = world
    woken: list[int] = []
    assert replica.query("geo") == ((), (("told-query-connect", "geo"),))
    client.watches.subscribe([("told-query-connect", "geo")], lambda: woken.append(1))
    proxy = Service(kind="connect-proxy", id="p", name="p", port=1, proxy=Proxy(destination_service_name="db"))
    server.execute(c.Register(Node(name="n", address="10.0.0.1"), proxy))
    query = PreparedQuery(id="11111111-2222-3333-4444-555555555555", name="geo", service=QueryService(service="db"))
    server.execute(c.PreparedQuerySet(query))
    rows.tell()
    assert woken == [1]
    assert [entry.service.id for entry in replica.query("geo")[0]] == ["p"]


async def test_what_is_not_known_yet_is_not_taken_for_the_default(world: Any) -> None:
    _, _, _, replica = world
    asked = asyncio.ensure_future(replica.known())
    await replica._clock.advance(5.0)
    with pytest.raises(Unavailable, match="has told this agent the intentions yet"):
        await asked


async def test_what_is_known_stays_while_there_is_no_answer(world: Any) -> None:
    server, rows, client, replica = world
    server.execute(c.CASet(CAConfig(), 0, AT, "cluster", ROOT))
    server.execute(c.ConfigEntrySet(parse({"Kind": "service-defaults", "Name": "web", "Protocol": "http"}), None, AT))
    asked = asyncio.ensure_future(replica.known())
    await replica._clock.advance(0.1)
    rows.tell()
    await replica._clock.advance(0.1)
    assert asked.done()
    rows.known.clear()
    rows.watches.notify(("rows", "config-kind service-defaults"))
    rows.watches.flush()
    assert client.config.get("service-defaults", "web") is not None


async def test_services_with_virtual_addresses_are_followed_only_where_they_are_wanted(world: Any) -> None:
    server, rows, client, replica = world
    assert (questions.MESH_SERVICES, "") not in rows.pinned
    asked = asyncio.ensure_future(replica.services_known())
    await replica._clock.advance(0.1)
    assert not asked.done()
    assert replica.services() == ()
    woken: list[int] = []
    client.watches.subscribe([MESH_SERVICES], lambda: woken.append(1))
    proxy = Service(kind="connect-proxy", id="p", name="p", port=1, proxy=Proxy(destination_service_name="db"))
    server.execute(c.Register(Node(name="n", address="10.0.0.1"), proxy))
    rows.tell()
    await replica._clock.advance(0.1)
    await asked
    assert woken == [1]
    assert replica.services() == (MeshService("db", ("240.0.0.1",)),)


async def test_services_that_nobody_has_told_yet_are_not_taken_for_none(world: Any) -> None:
    _, _, _, replica = world
    asked = asyncio.ensure_future(replica.services_known())
    await replica._clock.advance(5.0)
    with pytest.raises(Unavailable, match="has told this agent the services of the mesh yet"):
        await asked


async def test_entries_that_are_asked_for_with_another_token_are_not_known_until_they_have_come(world: Any) -> None:
    server, rows, _, replica = world
    server.execute(c.CASet(CAConfig(), 0, AT, "cluster", ROOT))
    rows.tell()
    await replica.known()
    del rows.known["config-kind", "service-intentions"]
    rows.watches.notify(("rows", "config-kind service-intentions"))
    rows.watches.flush()
    asked = asyncio.ensure_future(replica.known())
    await replica._clock.advance(0.1)
    assert not asked.done()
    rows.tell()
    await replica._clock.advance(0.1)
    await asked


async def test_instances_of_services_that_are_gone_are_followed_no_more_unless_somebody_asks(world: Any) -> None:
    server, rows, client, replica = world
    proxy = Service(kind="connect-proxy", id="p", name="p", port=1, proxy=Proxy(destination_service_name="DB"))
    named = parse({"Kind": "service-resolver", "Name": "db"})
    server.execute(c.Register(Node(name="n", address="10.0.0.1"), proxy))
    server.execute(c.ConfigEntrySet(named, None, AT))
    asked = asyncio.ensure_future(replica.services_known())
    await replica._clock.advance(0.1)
    replica.instances("DB")
    rows.tell()
    await replica._clock.advance(0.1)
    await asked
    woken: list[int] = []
    client.watches.subscribe([("told-mesh-instances", "db")], lambda: woken.append(1))
    server.execute(c.Deregister("n", "p"))
    server.execute(c.ConfigEntryDelete("service-resolver", "db", None, AT))
    rows.tell()
    assert replica.services() == ()
    assert (questions.MESH_INSTANCES, "db") not in rows.pinned
    assert woken == [1], "whoever used it asks again"
    rows.watches.notify(("rows", "connect db"))
    rows.watches.flush()
    assert (questions.MESH_INSTANCES, "db") not in rows.pinned, "it is not taken up again by itself"
    replica.instances("db")
    assert (questions.MESH_INSTANCES, "db") in rows.pinned


def test_every_kind_that_a_snapshot_is_made_of_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    one, every = WatchedEntries._one, WatchedEntries._all

    def noting_one(self: WatchedEntries, kind: str, name: str) -> Entry | None:
        asked.add(kind)
        return one(self, kind, name)

    def noting_all(self: WatchedEntries, kind: str) -> list[Entry]:
        asked.add(kind)
        return every(self, kind)

    monkeypatch.setattr(WatchedEntries, "_one", noting_one)
    monkeypatch.setattr(WatchedEntries, "_all", noting_all)
    store = Store()
    allowed = {"Action": "allow", "HTTP": {"PathPrefix": "/"}, "JWT": {"Providers": [{"Name": "p"}]}}
    sources = [{"Name": "web", "Permissions": [allowed]}]
    for raw in (
        {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
        {"Kind": "jwt-provider", "Name": "p", "JSONWebKeySet": {"Local": {"JWKS": "e30="}}},
        {"Kind": "service-intentions", "Name": "api", "Sources": sources},
    ):
        store.apply(c.encode(c.ConfigEntrySet(parse(raw), None, AT)))
    proxy = Proxy(destination_service_name="api", mode="transparent", upstreams=(Upstream(destination_name="db"),))
    side = Service(kind="connect-proxy", id="side", name="side", port=1, proxy=proxy)
    SnapshotParts(store, "dc1", lambda: None).build(side, Default(True))
    merged_proxy(side, store.config.watched())
    assert {"mesh", "jwt-provider", "service-resolver"} <= asked
    assert asked <= set(KINDS)


async def test_a_gateway_waits_for_kinds_that_no_sidecar_needs(world: Any) -> None:
    server, rows, _, replica = world
    server.execute(c.CASet(CAConfig(), 0, AT, "cluster", ROOT, CAKey("r", b"secret")))
    rows.tell()
    assert (questions.CONFIG_KIND, "http-route") not in rows.pinned
    waiting = asyncio.ensure_future(replica.known(("http-route",)))
    await replica._clock.advance(0.1)
    assert not waiting.done()
    rows.tell()
    await replica._clock.advance(0.1)
    await waiting


def test_proxies_see_nothing_with_the_token_of_dns() -> None:
    """An agent may have none, and names are more public than who may be dialled."""
    assert not TOLD & set(questions.DNS_KINDS)
    assert set(questions.QUESTIONS) >= TOLD
