"""Snapshots are put together from parts, and only what changed is made anew."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshagent.catalog import commands as c
from meshagent.catalog.ca import CAConfig, CARoot
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import (
    Check,
    Node,
    PreparedQuery,
    Proxy,
    QueryService,
    Service,
    ServiceEntry,
    TransparentProxy,
    Upstream,
)
from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.model import Peering, TrustBundle
from meshagent.catalog.store import Store
from meshagent.connect.intentions import Default
from meshagent.connect.parts import SnapshotParts
from meshagent.connect.peers import Trust
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.connect.transparent import Transparent

AT = "2024-01-01T00:00:00Z"
WEB = Service(
    kind="connect-proxy", id="web-proxy", name="web-proxy", port=21000,
    proxy=Proxy(
        destination_service_name="web", local_service_port=80,
        upstreams=(
            Upstream(destination_name="db", local_bind_port=9191),
            Upstream(destination_name="q", local_bind_port=9192, destination_type="prepared_query"),
        ),
    ),
)  # fmt: skip


class World:
    """A store, and the parts of one proxy."""

    def __init__(self) -> None:
        self.store = Store()
        self.changes = 0
        self.parts = SnapshotParts(self.store, "dc1", self._changed)
        root = CARoot("r", "n", 7, "ski", "td", AT, AT, "pem")
        self.run(c.CASet(CAConfig(), 0, AT, "td", root))

    def _changed(self) -> None:
        self.changes += 1

    def run(self, command: c.Command) -> None:
        self.store.apply(c.encode(command))
        self.store.flush()

    def entry(self, **raw: Any) -> None:
        self.run(c.ConfigEntrySet(parse(raw), None, AT))  # type: ignore[arg-type]

    def instance(self, name: str, number: int, status: str = "passing", **meta: str) -> None:
        proxy = Service(
            kind="connect-proxy", id=f"{name}-{number}", name=f"{name}-proxy", port=20000 + number, meta=meta or None,
            proxy=Proxy(destination_service_name=name),
        )  # fmt: skip
        check = Check(node=f"n{number}", check_id=f"c{number}", status=status, service_id=proxy.id)
        self.run(c.Register(Node(name=f"n{number}", address=f"10.0.0.{number}"), proxy, (check,)))

    def build(self) -> ProxySnapshot:
        return self.parts.build(WEB, Default(True))


@pytest.fixture
def world() -> World:
    return World()


def test_it_holds_what_the_proxy_needs(world: World) -> None:
    world.instance("db", 1)
    world.instance("db", 2, "critical")
    world.instance("db", 3, "warning")
    world.entry(Kind="service-intentions", Name="web", Sources=[{"Name": "api", "Action": "deny"}])
    world.entry(Kind="service-intentions", Name="db", Sources=[{"Name": "web", "Action": "allow"}])
    snapshot = world.build()
    cluster = snapshot.clusters["db.default.default.dc1"]
    assert [(one.address, one.port, one.status) for one in cluster.endpoints] == [
        ("10.0.0.1", 20001, "passing"),
        ("10.0.0.3", 20003, "warning"),
    ]
    assert cluster.identities == ("spiffe://td.consul/ns/default/dc/dc1/svc/db",)
    assert [(one.source, one.action) for one in snapshot.intentions] == [("api", "deny")]
    assert snapshot.roots == ("pem",)
    assert (snapshot.outbound[1].problem, snapshot.clusters["prepared_query:q"].endpoints) == ("", ())


def test_only_what_changed_is_made_anew(world: World) -> None:
    world.instance("db", 1)
    first = world.build()
    made = world.parts.made
    assert world.build() == first
    assert world.parts.made == made
    world.instance("other", 9)
    world.entry(Kind="service-defaults", Name="other", Protocol="http")
    assert world.changes == 0
    world.instance("db", 2)
    assert world.changes >= 1
    second = world.build()
    assert len(second.clusters["db.default.default.dc1"].endpoints) == 2
    assert world.parts.made == made + 1
    assert second.outbound == first.outbound


def test_subsets_and_redirects_choose_the_instances(world: World) -> None:
    world.instance("db", 1, version="v1")
    world.instance("db", 2, version="v2")
    world.instance("db", 3, "warning", version="v2")
    subsets = {"v2": {"Filter": "Service.Meta.version == v2"}}
    world.entry(Kind="service-resolver", Name="db", DefaultSubset="v2", Subsets=subsets)
    cluster = world.build().clusters["v2.db.default.default.dc1"]
    assert [one.id for one in cluster.endpoints] == ["db-2", "db-3"]
    subsets["v2"]["OnlyPassing"] = True  # type: ignore[assignment]
    world.entry(Kind="service-resolver", Name="db", DefaultSubset="v2", Subsets=subsets)
    cluster = world.build().clusters["v2.db.default.default.dc1"]
    assert [one.id for one in cluster.endpoints] == ["db-2"]
    world.entry(Kind="service-resolver", Name="db", Redirect={"Service": "other"})
    snapshot = world.build()
    assert list(snapshot.clusters) == ["other.default.default.dc1", "prepared_query:q"]
    assert snapshot.clusters["other.default.default.dc1"].identities[0].endswith("/svc/other")


def test_a_prepared_query_is_an_upstream(world: World) -> None:
    world.instance("db", 1)
    world.build()
    query = PreparedQuery(id="11111111-2222-3333-4444-555555555555", name="q", service=QueryService(service="db"))
    world.run(c.PreparedQuerySet(query))
    assert world.changes
    cluster = world.build().clusters["prepared_query:q"]
    assert [one.id for one in cluster.endpoints] == ["db-1"]
    assert cluster.identities == ("spiffe://td.consul/ns/default/dc/dc1/svc/db",)
    assert cluster.target.sni == "q.default.dc1.query.td.consul"
    changes = world.changes
    world.instance("db", 2)
    assert world.changes > changes
    assert len(world.build().clusters["prepared_query:q"].endpoints) == 2


def test_a_transparent_sidecar_finds_services_outside(world: World) -> None:
    there = {"Addresses": ["10.9.9.9", "db.example"], "Port": 5432}
    world.entry(Kind="service-defaults", Name="ext", Protocol="tcp", Destination=there)
    proxy = Proxy(destination_service_name="web", mode="transparent")
    service = Service(kind="connect-proxy", id="web-proxy", name="web-proxy", port=21000, proxy=proxy)
    (one,) = world.parts.build(service, Default(True)).outbound
    assert (one.name, one.outside, one.listens) == ("ext", (("10.9.9.9", 5432), ("db.example", 5432)), False)
    assert world.parts.build(service, Default(False)).outbound == ()
    world.entry(Kind="service-intentions", Name="ext", Sources=[{"Name": "web", "Action": "allow"}])
    assert len(world.parts.build(service, Default(False)).outbound) == 1


def test_what_is_not_used_any_more_is_not_watched(world: World) -> None:
    world.instance("db", 1)  # what does not exist is watched by its tables
    world.entry(Kind="service-resolver", Name="db", Redirect={"Service": "other"})
    world.build()
    world.run(c.ConfigEntryDelete("service-resolver", "db", None, AT))
    world.build()
    changes = world.changes
    world.instance("other", 5)
    assert world.changes == changes
    world.parts.close()
    world.instance("db", 2)
    assert world.changes == changes


def test_another_datacenter_has_no_instances_yet(world: World) -> None:
    world.instance("db", 1)
    world.entry(Kind="service-resolver", Name="db", Redirect={"Datacenter": "dc2"})
    assert world.build().clusters["db.default.default.dc2"].endpoints == ()


def test_the_mesh_entry_and_the_mode_of_the_service(world: World) -> None:
    assert not world.build().mesh.permissive
    world.entry(Kind="mesh", AllowEnablingPermissiveMutualTLS=True)
    world.entry(Kind="service-defaults", Name="web", MutualTLSMode="permissive")
    assert world.build().mesh.permissive
    changes = world.changes
    world.entry(Kind="mesh", AllowEnablingPermissiveMutualTLS=False)
    assert world.changes > changes
    assert not world.build().mesh.permissive, "the consent is looked at each time"


# --- transparent mode -----------------------------------------------------------------------------------------------


def transparent(**proxy: Any) -> Service:
    return Service(
        kind="connect-proxy", id="web-proxy", name="web-proxy", port=21000,
        proxy=Proxy(destination_service_name="web", local_service_port=80, mode="transparent", **proxy),
    )  # fmt: skip


def virtual(snapshot: ProxySnapshot) -> dict[str, tuple[str, ...]]:
    return {one.name: one.virtual_ips for one in snapshot.outbound}


def test_a_transparent_proxy_knows_whom_it_may_reach(world: World) -> None:
    for number, name in enumerate(("api", "db", "secret"), 1):
        world.instance(name, number)
    world.entry(Kind="service-intentions", Name="secret", Sources=[{"Name": "*", "Action": "deny"}])
    world.entry(Kind="service-defaults", Name="api", Protocol="http")
    snapshot = world.parts.build(transparent(), Default(True))
    assert virtual(snapshot) == {"api": ("240.0.0.1",), "db": ("240.0.0.2",)}
    assert snapshot.transparent is not None
    assert (snapshot.transparent.port, snapshot.transparent.mesh_only) == (15001, False)
    api = snapshot.outbound[0]
    assert (api.key, api.listens, api.is_http) == ("virtual:api", False, True)
    assert set(snapshot.clusters) == {"api.default.default.dc1", "db.default.default.dc1"}
    denied = world.parts.build(transparent(), Default(False))
    assert virtual(denied) == {}


def test_intentions_that_decide_by_request_make_an_upstream(world: World) -> None:
    world.instance("api", 1)
    world.entry(Kind="service-defaults", Name="api", Protocol="http")
    permissions = [{"Action": "allow", "HTTP": {"PathPrefix": "/public"}}]
    world.entry(Kind="service-intentions", Name="api", Sources=[{"Name": "web", "Permissions": permissions}])
    assert virtual(world.parts.build(transparent(), Default(False))) == {"api": ("240.0.0.1",)}


def test_a_change_of_reach_or_address_makes_another_snapshot(world: World) -> None:
    world.instance("api", 1)
    assert virtual(world.parts.build(transparent(), Default(False))) == {}
    for change, wanted in (
        (lambda: world.entry(Kind="service-intentions", Name="api", Sources=[{"Name": "web", "Action": "allow"}]),
         {"api": ("240.0.0.1",)}),
        (lambda: world.run(c.ManualIPsSet("api", ("10.96.0.1",))), {"api": ("240.0.0.1", "10.96.0.1")}),
        (lambda: world.entry(Kind="service-intentions", Name="api", Sources=[{"Name": "web", "Action": "deny"}]), {}),
        (lambda: world.entry(Kind="service-intentions", Name="new", Sources=[{"Name": "web", "Action": "allow"}]),
         {"new": ("240.0.0.2",)}),
    ):  # fmt: skip
        before = world.changes
        change()
        assert world.changes > before
        assert virtual(world.parts.build(transparent(), Default(False))) == wanted


def test_the_mesh_entry_may_keep_it_inside(world: World) -> None:
    world.parts.build(transparent(), Default(True))
    world.entry(Kind="mesh", TransparentProxy={"MeshDestinationsOnly": True})
    assert world.changes
    block = TransparentProxy(outbound_listener_port=15002)
    snapshot = world.parts.build(transparent(transparent_proxy=block), Default(True))
    assert snapshot.transparent == Transparent(15002, True)


def test_an_upstream_that_is_listed_keeps_its_listener_and_has_the_address_too(world: World) -> None:
    world.instance("db", 1)
    listed = (Upstream(destination_name="DB", local_bind_port=9191), Upstream(destination_name="db", datacenter="dc2"))
    snapshot = world.parts.build(transparent(upstreams=listed), Default(True))
    assert [(one.key, one.virtual_ips) for one in snapshot.outbound] == [
        ("127.0.0.1:9191", ("240.0.0.1",)),
        ("virtual:db", ()),
    ]


def test_central_configuration_speaks_of_upstreams_that_nobody_listed(world: World) -> None:
    world.instance("db", 1)
    settings = {"Overrides": [{"Name": "db", "ConnectTimeoutMs": 900}]}
    world.entry(Kind="service-defaults", Name="web", UpstreamConfig=settings)
    assert world.parts.build(transparent(), Default(True)).outbound[0].connect_timeout_ms == 900


def test_instances_that_may_be_dialled_directly_are_marked(world: World) -> None:
    proxy = Proxy(
        destination_service_name="db", local_service_port=5432, mode="transparent",
        transparent_proxy=TransparentProxy(dialed_directly=True),
    )  # fmt: skip
    direct = Service(kind="connect-proxy", id="db-9", name="db-proxy", port=20009, proxy=proxy)
    world.run(c.Register(Node(name="n9", address="10.0.0.9"), direct, ()))
    world.instance("db", 1)
    cluster = world.parts.build(transparent(), Default(True)).clusters["db.default.default.dc1"]
    assert [(one.id, one.direct_port) for one in cluster.endpoints] == [("db-1", 0), ("db-9", 5432)]


def test_without_transparent_mode_nothing_is_asked(world: World) -> None:
    world.instance("api", 1)
    snapshot = world.build()
    assert snapshot.transparent is None
    assert [one.name for one in snapshot.outbound] == ["db", "q"]
    world.entry(Kind="service-intentions", Name="new", Sources=[{"Name": "web", "Action": "allow"}])
    assert world.changes == 0


class TestPeers:
    """Upstreams of peers and who may call from there (M54, M68)."""

    @pytest.fixture
    def peered(self, world: World) -> World:
        world.run(p.PeeringSet(Peering(id="i", name="east")))
        node = Node(name="far", address="10.9.0.1", datacenter="dc9")
        proxy = Proxy(destination_service_name="db")
        row = Service(kind="connect-proxy", id="s", name="db-sidecar-proxy", port=21000, proxy=proxy)
        world.run(p.ImportedReplace("east", "db-sidecar-proxy", (ServiceEntry(node, row, ()),)))
        return world

    def build(self, world: World) -> ProxySnapshot:
        upstream = Upstream(destination_name="db", destination_peer="east", local_bind_port=9)
        proxy = msgspec.structs.replace(WEB.proxy, upstreams=(upstream,))
        return world.parts.build(msgspec.structs.replace(WEB, proxy=proxy), Default(True))

    def test_nobody_is_dialled_before_the_roots_are_known(self, peered: World) -> None:
        snapshot = self.build(peered)
        (cluster,) = snapshot.clusters.values()
        assert (cluster.identities, cluster.endpoints, snapshot.trusts) == ((), (), ())

    def test_instances_identity_and_roots(self, peered: World) -> None:
        self.build(peered)
        peered.changes = 0
        peered.run(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="east.consul", roots=("pem",))))
        assert peered.changes >= 1
        snapshot = self.build(peered)
        (cluster,) = snapshot.clusters.values()
        assert cluster.identities == ("spiffe://east.consul/ns/default/dc/dc9/svc/db",)
        assert [(one.address, one.port) for one in cluster.endpoints] == [("10.9.0.1", 21000)]
        assert cluster.target.sni == "db.external.td.consul"
        assert snapshot.trusts == (Trust("east", "east.consul", ("pem",), False),)
        (outbound,) = snapshot.outbound
        assert (outbound.problem, outbound.chain is not None and outbound.chain.protocol) == ("", "tcp")
        peered.run(p.ImportedReplace("east", "db-sidecar-proxy", ()))
        (cluster,) = self.build(peered).clusters.values()
        assert cluster.endpoints == ()

    def test_peers_that_the_service_is_exported_to_may_call(self, peered: World) -> None:
        peered.run(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="east.consul", roots=("pem",))))
        assert peered.build().trusts == ()
        export = {"Name": "web", "Consumers": [{"Peer": "east"}]}
        peered.entry(Kind="exported-services", Name="default", Services=[export])
        assert peered.build().trusts == (Trust("east", "east.consul", ("pem",), True),)
        peered.entry(Kind="exported-services", Name="default", Services=[{**export, "Name": "other"}])
        assert peered.build().trusts == ()

    def test_failover_goes_on_at_a_peer(self, peered: World) -> None:
        peered.run(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="east.consul", roots=("pem",))))
        peered.entry(Kind="service-resolver", Name="db", Failover={"*": {"Targets": [{"Peer": "east"}]}})
        clusters = peered.build().clusters
        far = next(cluster for cluster in clusters.values() if cluster.target.peer == "east")
        assert [one.address for one in far.endpoints] == ["10.9.0.1"]
        assert far.target.sni == "db.external.td.consul"
