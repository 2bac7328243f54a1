"""An api-gateway entry and its routes as listeners and upstreams."""

from __future__ import annotations

from typing import Any

from meshtest.certificates import make_ca, make_leaf
from meshtest.gateways import World

from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef
from meshagent.connect.chain import RouterNode, SplitterNode
from meshagent.connect.gateways.edge import Edge
from meshagent.connect.snapshot import ProxySnapshot

PLAIN = {"Name": "plain", "Port": 27601, "Protocol": "http", "Hostname": "*.example.com"}
RAW = {"Name": "raw", "Port": 27603, "Protocol": "tcp"}


def route(name: str, listener: str, *rules: Any, hosts: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "Kind": "http-route", "Name": name, "Hostnames": list(hosts), "Rules": list(rules),
        "Parents": [{"Kind": "api-gateway", "Name": "gw", "SectionName": listener}],
    }  # fmt: skip


def to(*services: str, path: str = "", **more: Any) -> dict[str, Any]:
    matches = {"Matches": [{"Path": {"Match": "prefix", "Value": path}}]} if path else {}
    return {"Services": [{"Name": name} for name in services], **matches, **more}


def snapshot_of(world: World) -> tuple[ProxySnapshot, Edge]:
    snapshot = world.build("api-gateway", "gw")
    assert isinstance(snapshot.gateway, Edge)
    return snapshot, snapshot.gateway


def test_a_host_is_an_upstream_with_a_router_of_its_own() -> None:
    world = World("api", "shop")
    world.entry(Kind="api-gateway", Name="gw", Listeners=[PLAIN])
    world.entry(**route("r1", "plain", to("shop"), to("api", "shop", path="/v1"), hosts=("shop.example.com",)))
    snapshot, edge = snapshot_of(world)
    (listener,) = edge.listeners
    assert [(one.name, one.domains, one.tokens) for one in listener.hosts] == [
        ("gw-plain-db627532", ("shop.example.com",), ())
    ]
    (outbound,) = snapshot.outbound
    assert outbound.key == listener.hosts[0].upstream
    chain = outbound.chain
    assert chain is not None
    router = chain.nodes[chain.start]
    assert isinstance(router, RouterNode)
    paths = [one.definition.match.http.path_prefix for one in router.routes if one.definition.match is not None]  # type: ignore[union-attr]
    assert paths == ["/v1", "/"]
    splitter = chain.nodes[router.routes[0].next]
    assert isinstance(splitter, SplitterNode)
    assert [(one.next, one.weight) for one in splitter.splits] == [
        ("resolver:api.default.default.dc1", 50.0),
        ("resolver:shop.default.default.dc1", 50.0),
    ]
    assert sorted(snapshot.clusters) == ["api.default.default.dc1", "shop.default.default.dc1"]


def test_a_tcp_route_leads_to_its_service() -> None:
    world = World(db="tcp")
    world.entry(Kind="api-gateway", Name="gw", Listeners=[RAW])
    world.entry(Kind="tcp-route", Name="t1", Services=[{"Name": "db"}], Parents=[{"Kind": "api-gateway", "Name": "gw"}])
    snapshot, edge = snapshot_of(world)
    assert [(one.port, one.upstream) for one in edge.listeners] == [(27603, snapshot.outbound[0].key)]


def test_a_listener_without_routes_is_not_opened() -> None:
    world = World("api")
    world.entry(Kind="api-gateway", Name="gw", Listeners=[PLAIN, RAW])
    assert snapshot_of(world)[1].listeners == ()


def test_certificates_come_from_their_entries() -> None:
    world = World("api")
    chain, key = (one.decode() for one in make_leaf(make_ca(), "gw.example.com"))
    world.entry(Kind="inline-certificate", Name="inline", Certificate=chain, PrivateKey=key)
    world.entry(Kind="file-system-certificate", Name="file-s", Certificate="/etc/gw.pem", PrivateKey="/etc/gw.key")
    references = [
        {"Kind": "inline-certificate", "Name": "inline"},
        {"Kind": "file-system-certificate", "Name": "file-s"},
    ]
    listener = {**PLAIN, "TLS": {"Certificates": references, "MinVersion": "TLSv1_2"}}
    world.entry(Kind="api-gateway", Name="gw", Listeners=[listener])
    world.entry(**route("r1", "plain", to("api")))
    snapshot, edge = snapshot_of(world)
    tls = edge.listeners[0].tls
    assert tls is not None
    assert [(one.name, one.files) for one in tls.certificates] == [("inline", False), ("file-s", True)]
    assert (tls.certificates[0].key, tls.certificates[1].key) == (key, "/etc/gw.key")
    assert tls.min_version == "TLSv1_2"
    assert key.splitlines()[1] not in str(snapshot.shown())


def test_a_route_follows_the_splitter_of_its_service() -> None:
    world = World("api", "api2")
    world.entry(Kind="api-gateway", Name="gw", Listeners=[PLAIN])
    world.entry(**route("r1", "plain", to("api")))
    before, _ = snapshot_of(world)
    splits = [{"Weight": 90}, {"Weight": 10, "Service": "api2"}]
    world.entry(Kind="service-splitter", Name="api", Splits=splits)
    after, _ = snapshot_of(world)
    assert "api2.default.default.dc1" not in before.clusters
    assert "api2.default.default.dc1" in after.clusters


def test_services_that_all_speak_grpc_are_spoken_to_so() -> None:
    world = World("web", calls="grpc")
    world.entry(Kind="api-gateway", Name="gw", Listeners=[PLAIN])
    world.entry(**route("r1", "plain", to("calls"), hosts=("calls.example.com",)))
    world.entry(**route("r2", "plain", to("calls", "web"), hosts=("both.example.com",)))
    protocols = {one.name: one.chain.protocol for one in snapshot_of(world)[0].outbound if one.chain is not None}
    assert sorted(protocols.values()) == ["grpc", "http"]


def test_tokens_are_the_overrides_then_the_routes_then_the_defaults() -> None:
    def jwt(name: str) -> dict[str, Any]:
        return {"JWT": {"Providers": [{"Name": name}]}}

    world = World("api")
    for name in ("d", "r", "o"):
        keys = {"Local": {"JWKS": "eyJrZXlzIjpbXX0="}}
        world.entry(Kind="jwt-provider", Name=name, Issuer=name, JSONWebKeySet=keys)
    listeners = [{**PLAIN, "Default": jwt("d")}, {**PLAIN, "Name": "strict", "Port": 2, "Override": jwt("o")}]
    world.entry(Kind="api-gateway", Name="gw", Listeners=listeners)
    rules = (to("api"), to("api", path="/own", Filters=jwt("r")))
    world.entry(**route("r1", "plain", *rules))
    world.entry(**route("r2", "strict", *rules))
    snapshot, edge = snapshot_of(world)
    wanted = {name: IntentionJWT(providers=(JWTProviderRef(name=name),)) for name in ("d", "r", "o")}
    assert [one.hosts[0].tokens for one in edge.listeners] == [
        (wanted["r"], wanted["d"]),
        (wanted["o"], wanted["o"]),
    ]
    assert sorted(one.name for one in snapshot.jwt_providers) == ["d", "o", "r"]
