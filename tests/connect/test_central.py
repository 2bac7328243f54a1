"""Central configuration in a registered proxy (surface row M6)."""

from __future__ import annotations

from typing import Any

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import MeshGateway, Proxy, Service, Upstream
from meshagent.connect.central import merged


def lookup(*raws: dict[str, Any]) -> Lookup:
    entries: dict[tuple[str, str], Entry] = {(one.kind, one.name): one for one in map(parse, raws)}
    return Lookup(lambda kind, name: entries.get((kind, name)), lambda kind: [])


def sidecar(**proxy: Any) -> Service:
    return Service(
        kind="connect-proxy", name="web-sidecar-proxy", id="p", proxy=Proxy(destination_service_name="web", **proxy)
    )


DEFAULTS = {
    "Kind": "proxy-defaults",
    "Name": "global",
    "Config": {"protocol": "http", "a": 1},
    "MeshGateway": {"Mode": "local"},
}


def test_nothing_central_changes_nothing() -> None:
    service = sidecar(config={"x": 1}, upstreams=(Upstream(destination_name="db", local_bind_port=1),))
    assert merged(service, lookup()) is service
    plain = Service(name="web", id="web")
    assert merged(plain, lookup(DEFAULTS)) is plain


def test_the_nearer_wins() -> None:
    own = {
        "Kind": "service-defaults",
        "Name": "web",
        "Protocol": "grpc",
        "MaxInboundConnections": 7,
        "Mode": "transparent",
    }
    proxy = merged(sidecar(config={"a": 2}), lookup(DEFAULTS, own)).proxy
    assert proxy.config == {"protocol": "grpc", "a": 2, "max_inbound_connections": 7}
    assert (proxy.mode, proxy.mesh_gateway) == ("transparent", MeshGateway(mode="local"))
    given = merged(
        sidecar(config={"protocol": "tcp"}, mode="direct", mesh_gateway=MeshGateway(mode="none")), lookup(DEFAULTS, own)
    )
    assert (given.proxy.config or {})["protocol"] == "tcp"
    assert (given.proxy.mode, given.proxy.mesh_gateway.mode) == ("direct", "none")


def test_upstreams_take_defaults_then_their_override_then_their_own() -> None:
    own = {
        "Kind": "service-defaults", "Name": "web",
        "UpstreamConfig": {
            "Defaults": {"ConnectTimeoutMs": 1000, "Limits": {"MaxConnections": 3}, "MeshGateway": {"Mode": "remote"}},
            "Overrides": [{"Name": "db", "ConnectTimeoutMs": 2000}],
        },
    }  # fmt: skip
    http = {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}
    upstreams = (
        Upstream(destination_name="db", config={"limits": {"max_connections": 9}}),
        Upstream(destination_name="api"),
        Upstream(destination_name="q", destination_type="prepared_query"),
    )
    db, api, query = merged(sidecar(upstreams=upstreams), lookup(own, http)).proxy.upstreams or ()
    assert db.config == {"connect_timeout_ms": 2000, "limits": {"max_connections": 9}}
    assert db.mesh_gateway.mode == "remote"
    assert api.config == {"connect_timeout_ms": 1000, "limits": {"MaxConnections": 3}, "protocol": "http"}
    assert query is upstreams[2]
