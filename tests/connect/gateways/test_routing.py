"""http-routes in the words of routers and splitters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gateways import World

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.catalog.entries.gateway_routes import HTTPRoute
from meshagent.catalog.entries.service_router import HeaderMatch, HTTPMatch, QueryMatch, RouteDestination
from meshagent.catalog.entries.table import parse
from meshagent.connect.chain import Chain, ResolverNode, RouterNode, SplitterNode
from meshagent.connect.gateways.routing import by_host, compile_host, hosts_of, virtual_name, within


def http_route(*rules: dict[str, Any], hosts: tuple[str, ...] = ()) -> HTTPRoute:
    found = parse({"Kind": "http-route", "Name": "r", "Hostnames": list(hosts), "Rules": list(rules)})
    entry = found.normalised()
    assert isinstance(entry, HTTPRoute)
    return entry


def rule(service: str, *matches: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Services": [{"Name": service}], "Matches": list(matches), **more}


def path(value: str, how: str = "prefix", **more: Any) -> dict[str, Any]:
    return {"Path": {"Match": how, "Value": value}, **more}


def compiled(*routes: HTTPRoute, world: World | None = None, host: str = "*") -> Chain:
    entries = (world or World("a", "b", "c")).store.config.lookup()
    rules = next(one for one in by_host("", routes) if one.host == host)
    return compile_host(entries, "v", rules, "http", "dc1", "td.consul")


def destinations(chain: Chain) -> list[tuple[HTTPMatch, RouteDestination, str]]:
    router = chain.nodes[chain.start]
    assert isinstance(router, RouterNode)
    found = []
    for one in router.routes:
        assert one.definition.match is not None
        assert one.definition.match.http is not None
        assert one.definition.destination is not None
        found.append((one.definition.match.http, one.definition.destination, one.next))
    return found


@pytest.mark.parametrize(
    ("listener", "hosts", "found"),
    [
        ("", (), ("*",)),
        ("*.example.com", (), ("*.example.com",)),
        ("", ("a.b", "c"), ("a.b", "c")),
        ("*.example.com", ("a.example.com", "a.org"), ("a.example.com",)),
        ("a.example.com", ("*.example.com",), ("a.example.com",)),
        ("a.example.com", ("*",), ("a.example.com",)),
    ],
)
def test_a_route_has_the_hosts_that_the_listener_lets_in(
    listener: str, hosts: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert hosts_of(listener, http_route(hosts=hosts)) == found


def test_wildcards_cover_names_below() -> None:
    assert within("*.b.c", "a.b.c")
    assert not within("*.b.c", "b.c")
    assert within("*", "x")


def test_the_longest_path_goes_first_then_headers_then_query() -> None:
    header = {"Headers": [{"Match": "present", "Name": "x"}]}
    query = {"Query": [{"Match": "present", "Name": "q"}]}
    one = http_route(rule("a", path("/"), path("/ab", **query)))
    two = http_route(rule("b", path("/ab", **header), path("/abc", "exact")))
    found = [(http.path_prefix or http.path_exact, to.service) for http, to, _ in destinations(compiled(one, two))]
    assert found == [("/abc", "b"), ("/ab", "b"), ("/ab", "a"), ("/", "a")]


def test_every_way_to_match_is_said_in_a_routers_words() -> None:
    headers = [{"Match": way, "Name": way, "Value": "v"} for way in ("exact", "prefix", "suffix", "regex", "present")]
    query = [{"Match": way, "Name": way, "Value": "v"} for way in ("exact", "regex", "present")]
    (found,) = destinations(
        compiled(http_route(rule("a", path("/x.*", "regex", Headers=headers, Query=query, Method="get"))))
    )
    assert found[0] == HTTPMatch(
        path_regex="/x.*",
        methods=("GET",),
        header=(
            HeaderMatch(name="exact", exact="v"), HeaderMatch(name="prefix", prefix="v"),
            HeaderMatch(name="suffix", suffix="v"), HeaderMatch(name="regex", regex="v"),
            HeaderMatch(name="present", present=True),
        ),
        query_param=(
            QueryMatch(name="exact", exact="v"), QueryMatch(name="regex", regex="v"),
            QueryMatch(name="present", present=True),
        ),
    )  # fmt: skip


def test_filters_of_rule_and_service_come_together() -> None:
    service = {
        "Name": "a",
        "Filters": {"Headers": [{"Set": {"x": "service"}}], "URLRewrite": {"Path": "/own"}},
        "ResponseFilters": {"Headers": [{"Remove": ["gone"]}]},
    }
    filters = {
        "Headers": [{"Set": {"x": "rule"}}, {"Add": {"y": "1"}}],
        "URLRewrite": {"Path": "/rule"},
        "RetryFilter": {
            "NumRetries": 3,
            "RetryOn": ["5xx"],
            "RetryOnStatusCodes": [503],
            "RetryOnConnectFailure": True,
        },
        "TimeoutFilter": {"RequestTimeout": "7s", "IdleTimeout": "1m"},
    }
    (found,) = destinations(compiled(http_route({"Services": [service], "Filters": filters})))
    assert found[1] == RouteDestination(
        service="a", prefix_rewrite="/own", request_timeout="7s", idle_timeout="1m0s", num_retries=3,
        retry_on=("5xx",), retry_on_status_codes=(503,), retry_on_connect_failure=True,
        request_headers=HeaderModifiers(add={"y": "1"}, set={"x": "service"}),
        response_headers=HeaderModifiers(remove=("gone",)),
    )  # fmt: skip


def test_several_services_are_shares_of_a_splitter() -> None:
    services = [{"Name": "a", "Weight": 3, "Filters": {"Headers": [{"Set": {"x": "1"}}]}}, {"Name": "b", "Weight": 1}]
    chain = compiled(http_route({"Services": services}))
    splitter = chain.nodes[destinations(chain)[0][2]]
    assert isinstance(splitter, SplitterNode)
    assert [(one.definition.service, one.weight) for one in splitter.splits] == [("a", 75.0), ("b", 25.0)]
    assert splitter.splits[0].definition.request_headers == HeaderModifiers(set={"x": "1"})


def test_resolvers_of_services_are_asked_and_routers_are_not() -> None:
    world = World("a", "b", "c")
    world.entry(Kind="service-resolver", Name="a", Redirect={"Service": "c"})
    world.entry(Kind="service-router", Name="b", Routes=[])
    chain = compiled(http_route(rule("a", path("/a")), rule("b", path("/b"))), world=world)
    assert sorted(chain.targets) == ["b.default.default.dc1", "c.default.default.dc1"]
    assert all(isinstance(node, RouterNode | ResolverNode) for node in chain.nodes.values())


def test_the_virtual_service_has_the_name_of_its_hosts_checksum() -> None:
    assert virtual_name("gw", "plain", "shop.example.com") == "gw-plain-db627532"


def test_a_rewrite_of_a_regular_expression_is_left_out() -> None:
    found = destinations(compiled(http_route(rule("a", path("/x", "regex"), Filters={"URLRewrite": {"Path": "/y"}}))))
    assert found[0][1].prefix_rewrite == ""


@given(
    st.lists(
        st.tuples(st.sampled_from(["exact", "prefix", "regex"]), st.sampled_from(["/", "/a", "/a/b"]),
                  st.lists(st.sampled_from("abc"), min_size=0, max_size=3)),
        max_size=4,
    )
)  # fmt: skip
def test_any_valid_route_compiles_and_keeps_all_its_matches(rules: list[tuple[str, str, list[str]]]) -> None:
    route = http_route(
        *(
            {"Matches": [path(value, how)], "Services": [{"Name": name} for name in names]}
            for how, value, names in rules
        )
    )
    if not rules:
        assert by_host("", [route])[0].rules == ()
        return
    chain = compiled(route)
    assert len(destinations(chain)) == len(rules)
    assert {target.service for target in chain.targets.values()} == {name for _, _, names in rules for name in names}
