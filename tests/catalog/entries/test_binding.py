"""Routes that gateways take (surface rows M31-M33; conditions of the golden scenario config-entries)."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import remove, write

from meshagent.catalog.store import Store

GATEWAY = {
    "Kind": "api-gateway",
    "Name": "g",
    "Listeners": [
        {"Name": "one", "Port": 80, "Protocol": "http", "Hostname": "*.example.com"},
        {"Name": "two", "Port": 90, "Protocol": "tcp"},
    ],
}
WEB = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
ROUTE = {
    "Kind": "http-route",
    "Name": "r",
    "Hostnames": ["a.example.com"],
    "Parents": [{"Name": "g", "SectionName": "one"}],
    "Rules": [{"Services": [{"Name": "web"}]}],
}


def _store() -> Store:
    """With a service that speaks HTTP."""
    store = Store()
    assert write(store, WEB) == ""
    return store


def _conditions(store: Store, kind: str, name: str) -> list[tuple[str, str, str]]:
    entry: Any = store.config.get(kind, name)
    return [(one.type, one.status, one.reason) for one in entry.status.conditions]


def test_a_route_is_bound_when_its_gateway_comes_and_free_when_it_goes() -> None:
    store = _store()
    assert write(store, ROUTE) == ""
    assert _conditions(store, "http-route", "r")[1] == ("Bound", "False", "GatewayNotFound")
    assert write(store, GATEWAY) == ""
    assert _conditions(store, "http-route", "r")[1] == ("Bound", "True", "Bound")
    bound: Any = store.config.get("bound-api-gateway", "g")
    assert [len(one.routes or ()) for one in bound.listeners] == [1, 0]
    assert list(bound.services) == ["web"]
    assert remove(store, "api-gateway", "g") == ""
    assert _conditions(store, "http-route", "r")[1] == ("Bound", "False", "GatewayNotFound")
    assert store.config.get("bound-api-gateway", "g") is None


def test_a_route_of_another_protocol_or_host_is_not_taken() -> None:
    store = _store()
    assert write(store, GATEWAY) == ""
    assert write(store, {**ROUTE, "Parents": [{"Name": "g", "SectionName": "two"}]}) == ""
    assert _conditions(store, "http-route", "r")[1] == ("Bound", "False", "FailedToBind")
    assert write(store, {**ROUTE, "Hostnames": ["a.other.com"]}) == ""
    assert _conditions(store, "http-route", "r")[1] == ("Bound", "False", "FailedToBind")


def test_a_missing_certificate_shows_in_the_status() -> None:
    store = _store()
    listener = {
        "Name": "one", "Port": 1, "Protocol": "http",
        "TLS": {"Certificates": [{"Kind": "file-system-certificate", "Name": "c"}]},
    }  # fmt: skip
    assert write(store, {"Kind": "api-gateway", "Name": "g", "Listeners": [listener]}) == ""
    assert ("ResolvedRefs", "False", "InvalidCertificateRefs") in _conditions(store, "api-gateway", "g")
    assert write(store, {"Kind": "file-system-certificate", "Name": "c", "Certificate": "/c", "PrivateKey": "/k"}) == ""
    assert ("ResolvedRefs", "True", "ResolvedRefs") in _conditions(store, "api-gateway", "g")


def test_a_condition_keeps_its_time_and_an_equal_write_its_index() -> None:
    store = _store()
    assert write(store, GATEWAY) == ""
    before: Any = store.config.get("api-gateway", "g")
    assert write(store, GATEWAY) == ""
    assert store.config.get("api-gateway", "g") is before
    assert remove(store, "tcp-route", "none") == ""
    assert before.status.conditions[0].last_transition_time == "2024-01-01T00:00:00Z"
    assert write(store, {**GATEWAY, "Meta": {"a": "b"}}) == ""
    after: Any = store.config.get("api-gateway", "g")
    assert after.status == before.status
    assert after.modify_index > before.modify_index


def test_a_route_without_services_or_to_one_that_speaks_no_http_is_not_accepted() -> None:
    store = _store()
    assert write(store, GATEWAY) == ""
    assert write(store, {**ROUTE, "Rules": []}) == ""
    assert _conditions(store, "http-route", "r") == [("Accepted", "False", "NoUpstreamServicesTargeted")]
    assert write(store, ROUTE) == ""
    assert _conditions(store, "http-route", "r")[0] == ("Accepted", "True", "Accepted")
    assert write(store, {**WEB, "Protocol": "tcp"}) == ""
    assert _conditions(store, "http-route", "r") == [("Accepted", "False", "InvalidDiscoveryChain")]
    bound: Any = store.config.get("bound-api-gateway", "g")
    assert not any(one.routes for one in bound.listeners)
    assert write(store, {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}) == ""
    assert remove(store, "service-defaults", "web") == ""
    assert _conditions(store, "http-route", "r")[1] == ("Bound", "True", "Bound")


def test_two_routes_at_a_port_of_tcp_are_a_conflict() -> None:
    store = _store()
    assert write(store, GATEWAY) == ""
    for name in ("a", "b"):
        route = {"Kind": "tcp-route", "Name": name, "Parents": [{"Name": "g", "SectionName": "two"}]}
        assert write(store, {**route, "Services": [{"Name": "db"}]}) == ""
    assert ("Conflicted", "True", "RouteConflict") in _conditions(store, "api-gateway", "g")
    assert remove(store, "tcp-route", "b") == ""
    assert ("Conflicted", "True", "RouteConflict") not in _conditions(store, "api-gateway", "g")
