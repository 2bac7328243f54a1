"""Services behind gateways (surface rows CT10, HL5)."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import remove, write

from meshagent.catalog import commands as c
from meshagent.catalog import queries
from meshagent.catalog.gateway_services import gateway_services, gateways_of
from meshagent.catalog.model import Node, Proxy, Service
from meshagent.catalog.store import Store


def _register(store: Store, name: str, **fields: Any) -> None:
    store.execute(c.Register(Node(name="n", address="10.0.0.1"), Service(id=name, name=name, **fields)))


def _ingress(*services: str, protocol: str = "tcp") -> dict[str, Any]:
    listeners = [
        {"Port": 80 + at, "Protocol": protocol, "Services": [{"Name": one}]} for at, one in enumerate(services)
    ]
    return {"Kind": "ingress-gateway", "Name": "in", "Listeners": listeners}


def test_a_wildcard_of_a_terminating_gateway_is_what_is_outside_the_mesh() -> None:
    store = Store()
    for name in ("web", "legacy", "other", "consul"):
        _register(store, name)
    _register(store, "web-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))
    services = [{"Name": "*", "SNI": "all"}, {"Name": "other", "DisableAutoHostRewrite": True}]
    assert write(store, {"Kind": "terminating-gateway", "Name": "out", "Services": services}) == ""
    rows = gateway_services(store, "out")
    assert [(row.service.name, row.from_wildcard, row.sni, row.auto_host_rewrite) for row in rows] == [
        ("legacy", True, "all", True),
        ("other", False, "", False),
    ]
    assert {row.service_kind for row in rows} == {"service"}


def test_a_wildcard_of_an_ingress_gateway_is_the_mesh_of_its_protocol() -> None:
    store = Store()
    for name in ("web", "db", "plain"):
        _register(store, name)
    for name in ("web", "db"):
        _register(store, f"{name}-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name=name))
    assert write(store, {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}) == ""
    assert write(store, _ingress("*", protocol="http")) == ""
    assert [row.service.name for row in gateway_services(store, "in")] == ["web"]
    assert (gateways_of(store, "WEB"), gateways_of(store, "db")) == (["in"], [])


def test_instances_of_the_gateway_that_lets_a_service_in() -> None:
    store = Store()
    _register(store, "in", kind="ingress-gateway", port=80)
    assert write(store, _ingress("web")) == ""
    assert [entry.service.id for entry in queries.health_ingress(store, "web").rows] == ["in"]
    before = queries.health_ingress(store, "web").index
    assert queries.health_ingress(store, "nope").index == 1
    assert remove(store, "ingress-gateway", "in") == ""
    after = queries.health_ingress(store, "web")
    assert (after.rows, after.index > before) == ([], True)
    assert queries.gateway_services(store, "in").index > before


def _connect(store: Store, name: str) -> list[str]:
    return [entry.service.id for entry in queries.health_service(store, name, connect=True).rows]


def test_a_terminating_gateway_gives_mesh_access_to_what_is_behind_it() -> None:
    store = Store()
    _register(store, "out", kind="terminating-gateway", port=8443)
    for name in ("legacy", "named", "web"):
        _register(store, name)
    _register(store, "web-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))
    services = [{"Name": "named"}, {"Name": "*"}]
    assert write(store, {"Kind": "terminating-gateway", "Name": "out", "Services": services}) == ""
    assert [_connect(store, name) for name in ("legacy", "NAMED", "web", "nope", "consul")] == [
        ["out"], ["out"], ["web-proxy"], [], [],
    ]  # fmt: skip
    assert [row.service.id for row in queries.service_nodes(store, "legacy", connect=True).rows] == ["out"]
    _register(store, "named-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="named"))
    _register(store, "legacy-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="legacy"))
    assert _connect(store, "named") == ["named-proxy", "out"]  # one that moves into the mesh has both
    assert _connect(store, "legacy") == ["legacy-proxy"]  # the wildcard speaks only for who has none


def test_who_asks_for_mesh_access_hears_of_gateways() -> None:
    store = Store()
    _register(store, "legacy")
    _register(store, "out", kind="terminating-gateway", port=8443)
    store.flush()
    found = queries.health_service(store, "legacy", connect=True)
    assert found.rows == []
    told: list[int] = []
    store.watches.subscribe(found.topics, lambda: told.append(1))
    write(store, {"Kind": "terminating-gateway", "Name": "out", "Services": [{"Name": "*"}]})
    store.flush()
    after = queries.health_service(store, "legacy", connect=True)
    assert (told, after.index > found.index, len(after.rows)) == ([1], True, 1)
    store.watches.subscribe(after.topics, lambda: told.append(2))
    _register(store, "out", kind="terminating-gateway", port=8444)
    store.flush()
    again = queries.health_service(store, "legacy", connect=True)
    assert (told, again.index > after.index) == ([1, 2], True)
