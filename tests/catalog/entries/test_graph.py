"""Discovery chains that do not compile (surface rows M40-M42; texts of the golden scenario discovery-chain)."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import remove, write

from meshagent.catalog.entries.graph import Chain, chain_problem
from meshagent.catalog.store import Store


def _store(*entries: dict[str, Any]) -> Store:
    store = Store()
    for entry in entries:
        assert write(store, entry) == "", entry
    return store


def _http(*names: str) -> list[dict[str, Any]]:
    return [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in names]


def _splitter(name: str, *services: str) -> dict[str, Any]:
    splits = [{"Weight": 100 / len(services), "Service": service} for service in services]
    return {"Kind": "service-splitter", "Name": name, "Splits": splits}


def _redirect(name: str, **to: str) -> dict[str, Any]:
    return {"Kind": "service-resolver", "Name": name, "Redirect": to}


def test_a_chain_of_nothing_is_tcp_with_a_resolver_on_top() -> None:
    chain = Chain(Store().config.lookup(), "web")
    assert (chain.protocol, chain.top, chain.problem) == ("tcp", "resolver", "")
    assert chain_problem(Store().config.lookup(), "") == "serviceName is required"


def test_cycles_are_refused() -> None:
    store = _store(_redirect("x1", Service="x2"), *_http("a", "b"), _splitter("a", "b"))
    assert write(store, _redirect("x2", Service="x1")) == ("detected circular resolver redirect: [x1 -> x2 -> x1]")
    assert "detected circular reference" in write(store, _splitter("b", "a"))


def test_protocols_agree_also_through_redirects_and_other_datacenters() -> None:
    store = _store(*_http("b"))
    wrong = 'discovery chain "m" uses inconsistent protocols; service "b" has "http" which is not "tcp"'
    assert write(store, _redirect("m", Service="b")) == wrong
    assert write(store, _redirect("m", Service="b", Datacenter="dc2")) == wrong
    assert write(store, _redirect("m", Service="b", Peer="p")) == ""


def test_a_splitter_needs_the_protocol_of_its_own_service_too() -> None:
    wrong = 'discovery chain "a" uses inconsistent protocols; service "b" has "http" which is not "tcp"'
    assert write(_store(*_http("b")), _splitter("a", "b")) == wrong


def test_a_subset_somebody_needs_stays() -> None:
    resolver = {"Kind": "service-resolver", "Name": "b", "Subsets": {"v2": {}}}
    store = _store(resolver, _redirect("c", Service="b", ServiceSubset="v2"))
    assert remove(store, "service-resolver", "b") == 'service "b" does not have a subset named "v2"'
    assert remove(store, "service-resolver", "c") == ""
    assert remove(store, "service-resolver", "b") == ""


def test_failover_targets_are_looked_at() -> None:
    failover = {"Kind": "service-resolver", "Name": "r1", "Failover": {"*": {"Service": "r2", "ServiceSubset": "no"}}}
    assert write(Store(), failover) == 'service "r2" does not have a subset named "no"'
    targets = {"Kind": "service-resolver", "Name": "r1", "Failover": {"*": {"Targets": [{"Service": "h"}]}}}
    assert "inconsistent protocols" in write(_store(*_http("h")), targets)


def test_external_services_have_neither_failover_nor_subsets() -> None:
    store = _store({"Kind": "service-defaults", "Name": "ext", "ExternalSNI": "e.example.com"})
    for field, value, word in (
        ("Failover", {"*": {"Datacenters": ["dc2"]}}, "failover"),
        ("Subsets", {"a": {}}, "subsets"),
        ("Redirect", {"Service": "b"}, "redirects"),
    ):
        assert write(store, {"Kind": "service-resolver", "Name": "ext", field: value}) == (
            f'service "ext" has an external SNI set; cannot define {word} for external services'
        )


def test_proxy_defaults_that_a_chain_needs_stay() -> None:
    store = _store(
        {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}},
        *_http("h"),
        _splitter("n", "n", "h"),
    )
    assert remove(store, "proxy-defaults", "global") == (
        'discovery chain "n" uses inconsistent protocols; service "h" has "http" which is not "tcp"'
    )
    assert store.config.get("proxy-defaults", "global") is not None


def test_a_router_leads_through_splitters_and_subsets() -> None:
    routes = [{"Destination": {"Service": "a"}}, {"Destination": {"Service": "b", "ServiceSubset": "v1"}}]
    resolver = {"Kind": "service-resolver", "Name": "b", "Subsets": {"v1": {}}}
    store = _store(*_http("a", "b", "rt"), _splitter("a", "b"), resolver)
    assert write(store, {"Kind": "service-router", "Name": "rt", "Routes": routes}) == ""
    chain = Chain(store.config.lookup(), "rt")
    assert (chain.protocol, chain.top) == ("http", "router")


def test_the_protocol_of_a_chain_with_a_splitter_is_its_services_own() -> None:
    store = _store(*_http("a"))
    assert "inconsistent protocols" in write(store, _splitter("c", "a")), "c is tcp"
