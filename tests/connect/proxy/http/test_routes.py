"""Routes of compiled chains: order, shares, timeouts, retries, edits, sticky requests."""

from __future__ import annotations

import random
from typing import Any

import pytest
from meshtest.http7 import FakeCluster, World, request

from meshagent.catalog.entries.entry import Entry, HeaderModifiers
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.connect.chain import compile_chain
from meshagent.connect.l7 import Extras, FaultSettings
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.http.policy import Fault, HeaderEdits, RetryPolicy, Route
from meshagent.connect.proxy.http.routes import DEFAULT_TIMEOUT_S, Routes, compile_routes, edits_of
from meshagent.connect.snapshot import Outbound, ProxySnapshot


def chain_of(*raws: dict[str, Any]) -> Any:
    names = ("api", "other")
    defaults = [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in names]
    entries = {(one.kind, one.name): one for one in map(parse, (*defaults, *raws))}

    def of_kind(kind: str) -> list[Entry]:
        return [one for key, one in sorted(entries.items()) if key[0] == kind]

    return compile_chain(Lookup(lambda kind, name: entries.get((kind, name)), of_kind), "api", "dc1", "td")


def routes(*raws: dict[str, Any], extras: Extras | None = None) -> Routes:
    world = World()
    return compile_routes(chain_of(*raws), lambda key: FakeCluster(world, key), extras)


def router(*given: dict[str, Any]) -> Routes:
    return routes({"Kind": "service-router", "Name": "api", "Routes": list(given)})


def found(table: Routes, path: bytes, **more: Any) -> Route:
    route = table.match(request(path, **more))
    assert route is not None
    return route


def cluster_name(route: Route) -> str:
    ((_, destination),) = route.splits
    return destination.cluster.name


def test_a_service_without_entries() -> None:
    route = found(routes(), b"/x")
    assert cluster_name(route) == "resolver:api.default.default.dc1"
    assert (route.name, route.timeout_s, route.retry) == ("default", DEFAULT_TIMEOUT_S, None)


def test_the_first_route_that_fits() -> None:
    table = router(
        {"Match": {"HTTP": {"PathPrefix": "/a"}}, "Destination": {"Service": "other", "PrefixRewrite": "/"}},
        {"Match": {"HTTP": {"PathPrefix": "/a/b"}}, "Destination": {"RequestTimeout": "2s", "IdleTimeout": "3s"}},
        {"Match": {"HTTP": {"PathExact": "/b"}}, "Destination": {"RequestTimeout": "2s", "IdleTimeout": "3s"}},
    )
    assert cluster_name(found(table, b"/a/b")).startswith("resolver:other.")
    assert found(table, b"/a/b").rewrite == (b"/a", b"/")
    assert (found(table, b"/b").timeout_s, found(table, b"/b").idle_timeout_s) == (2.0, 3.0)
    assert found(table, b"/c").name == "default"
    assert [one.name for one in table.routes] == ["0", "1", "2", "default"]


def test_what_stands_behind_a_route_for_everything_is_never_reached() -> None:
    assert len(router({"Destination": {"Service": "other"}}).routes) == 1


def test_timeouts_of_a_resolver() -> None:
    resolver = {"Kind": "service-resolver", "Name": "api", "RequestTimeout": "5s"}
    assert found(routes(resolver), b"/").timeout_s == 5.0


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ({}, None),
        ({"NumRetries": 3}, RetryPolicy(3)),
        ({"RetryOnConnectFailure": True}, RetryPolicy(1, frozenset({"connect-failure"}))),
        ({"RetryOn": ["5xx"], "NumRetries": 2}, RetryPolicy(2, frozenset({"5xx"}))),
        ({"RetryOnStatusCodes": [500, 503]}, RetryPolicy(1, frozenset(), frozenset({500, 503}))),
    ],
)
def test_retries(destination: dict[str, Any], expected: RetryPolicy | None) -> None:
    assert found(router({"Destination": destination}), b"/").retry == expected


def test_shares() -> None:
    table = routes(
        {"Kind": "service-splitter", "Name": "api", "Splits": [
            {"Weight": 90, "ResponseHeaders": {"Set": {"x-v": "1"}}}, {"Weight": 10, "Service": "other"},
        ]}
    )  # fmt: skip
    (first, one), (last, two) = found(table, b"/").splits
    assert (first, last) == (pytest.approx(0.9), 1.0)
    assert one.response == HeaderEdits(set=((b"x-v", b"1"),))
    assert two.cluster.name.startswith("resolver:other.")


def test_extras() -> None:
    extras = Extras(
        FaultSettings(abort_status=503, header="X-F"), num_retries=4, retry_on=("5xx",), per_try_timeout_s=1.5
    )
    route = found(routes(extras=extras), b"/")
    assert route.fault == Fault(0.0, 100.0, 503, 100.0, (b"x-f", b""))
    assert route.retry == RetryPolicy(4, frozenset({"5xx"}), per_try_timeout_s=1.5)


class TestExperiments:
    """What entries say of copies and faults goes before what an upstream or `Meta` says."""

    MIRROR = {"Service": "other", "Percent": 25}
    FAULT = {"Delay": "1s", "DelayPercent": 0, "AbortStatus": 503, "Header": "X-Try"}
    EXTRAS = Extras(fault=FaultSettings(abort_status=500))

    def of(self, *raws: dict[str, Any]) -> tuple[str, float, int]:
        route = found(routes(*raws, extras=self.EXTRAS), b"/")
        fault = route.fault or Fault()
        mirror = (route.mirror.cluster.name, route.mirror.percent) if route.mirror is not None else ("", 0.0)
        return *mirror, fault.abort_status

    def router(self, **to: Any) -> dict[str, Any]:
        return {"Kind": "service-router", "Name": "api", "Routes": [{"Destination": to}]}

    def resolver(self, **fields: Any) -> dict[str, Any]:
        return {"Kind": "service-resolver", "Name": "api", **fields}

    def test_of_a_route(self) -> None:
        other = "resolver:other.default.default.dc1"
        assert self.of(self.router(Mirror=self.MIRROR, Fault=self.FAULT)) == (other, 25.0, 503)
        route = found(routes(self.router(Fault=self.FAULT)), b"/")
        assert route.fault == Fault(1.0, 0.0, 503, 100.0, (b"x-try", b""))

    def test_of_a_resolver_where_the_route_says_nothing(self) -> None:
        resolver = self.resolver(Mirror=self.MIRROR, Fault=self.FAULT)
        other = "resolver:other.default.default.dc1"
        assert self.of(resolver) == (other, 25.0, 503)
        assert self.of(resolver, self.router(NumRetries=1)) == (other, 25.0, 503)
        assert self.of(resolver, self.router(Fault={"AbortStatus": 418})) == (other, 25.0, 418)

    def test_not_behind_a_split(self) -> None:
        split = {"Kind": "service-splitter", "Name": "api", "Splits": [{"Weight": 100}]}
        assert self.of(self.resolver(Mirror=self.MIRROR, Fault=self.FAULT), split) == ("", 0.0, 500)

    def test_nobody_says_anything(self) -> None:
        assert self.of() == ("", 0.0, 500)


def test_edits_cannot_break_a_message() -> None:
    edits = edits_of(
        HeaderModifiers(
            add={"X-Ok": " v ", "Content-Length": "5", "bad name": "x", "X-Bad": "a\r\nb"},
            set={"Host": "h", "Transfer-Encoding": "chunked"},
            remove=("X-Gone", "Connection", "Host"),
        )
    )
    assert edits == HeaderEdits(((b"x-ok", b"v"),), ((b"host", b"h"),), frozenset({b"x-gone"}))


def test_sticky_requests_share_a_key() -> None:
    balancer = {
        "Policy": "maglev",
        "HashPolicies": [{"Field": "header", "FieldValue": "x-user"}, {"SourceIP": True}],
    }
    chain = chain_of({"Kind": "service-resolver", "Name": "api", "LoadBalancer": balancer})
    outbound = Outbound("api", "127.0.0.1", 1, chain=chain)
    clusters = Clusters(lambda: 0.0, random.Random(1))
    clusters.update(ProxySnapshot("web", "web", "dc1", "td", True, "", outbound=(outbound,)))
    route = found(compile_routes(chain, lambda key: clusters.of(outbound.key, key)), b"/")
    assert route.hash_key is not None

    def key(user: bytes) -> int | None:
        assert route.hash_key is not None
        hashed, cookie = route.hash_key(request(headers=[(b"x-user", user)]), "192.0.2.1:5")
        assert cookie == b""
        return hashed

    assert key(b"ada") == key(b"ada")
    assert key(b"ada") != key(b"bob")
