"""The chain compiler (surface rows M40-M44); the golden scenario `discovery-chain` shows the JSON of many chains."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from meshtest.meshdraws import chain_entries, names

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.graph import Lookup, chain_problem
from meshagent.catalog.entries.table import parse
from meshagent.connect.chain import (
    Chain,
    Overrides,
    ResolverNode,
    RouterNode,
    SplitterNode,
    compile_chain,
    sni,
    target_id,
)
from meshagent.errors import InternalError

TD = "td.consul"


def lookup(*raws: dict[str, Any]) -> Lookup:
    entries = {(one.kind, one.name): one for one in map(parse, raws)}

    def of_kind(kind: str) -> list[Entry]:
        return [one for key, one in sorted(entries.items()) if key[0] == kind]

    return Lookup(lambda kind, name: entries.get((kind, name)), of_kind)


def http(*names: str) -> list[dict[str, Any]]:
    return [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in names]


def chain(service: str, *raws: dict[str, Any], overrides: Overrides | None = None, dc: str = "dc1") -> Chain:
    return compile_chain(lookup(*raws), service, dc, TD, overrides)


def resolver(found: Chain, key: str) -> ResolverNode:
    node = found.nodes[key]
    assert isinstance(node, ResolverNode)
    return node


def test_a_service_without_entries_is_its_own_target() -> None:
    found = chain("web")
    assert (found.default, found.protocol, found.start) == (True, "tcp", "resolver:web.default.default.dc1")
    (target,) = found.targets.values()
    assert (target.id, target.sni, target.connect_timeout) == (
        "web.default.default.dc1",
        "web.default.dc1.internal.td.consul",
        "5s",
    )


def test_names() -> None:
    assert target_id("web", "v2", "dc1") == "v2.web.default.default.dc1"
    assert target_id("web", "", "", "east") == "web.default.default.external.east"
    assert sni("web", "v2", "dc1", TD) == "v2.web.default.dc1.internal.td.consul"


def test_splitters_behind_splitters_multiply_and_inherit_headers() -> None:
    found = chain(
        "a",
        *http("a", "b", "c", "d"),
        {
            "Kind": "service-splitter", "Name": "a",
            "Splits": [
                {"Weight": 60, "Service": "b", "RequestHeaders": {"Set": {"x": "outer", "y": "1"}}}, {"Weight": 40},
            ],
        },
        {
            "Kind": "service-splitter", "Name": "b",
            "Splits": [
                {"Weight": 75, "Service": "c", "RequestHeaders": {"Set": {"x": "inner"}, "Remove": ["z"]}},
                {"Weight": 25, "Service": "d"},
            ],
        },
    )  # fmt: skip
    node = found.nodes[found.start]
    assert isinstance(node, SplitterNode)
    assert [(one.weight, one.next) for one in node.splits] == [
        (45.0, "resolver:c.default.default.dc1"),
        (15.0, "resolver:d.default.default.dc1"),
        (40, "resolver:a.default.default.dc1"),
    ]
    headers = node.splits[0].definition.request_headers
    assert headers is not None
    assert (headers.set, headers.remove) == ({"x": "inner", "y": "1"}, ("z",))
    assert [key for key in found.nodes if key.startswith("splitter:")] == [found.start]


def test_failover_goes_to_targets_in_order_and_never_to_itself() -> None:
    found = chain(
        "a",
        {
            "Kind": "service-resolver", "Name": "a", "Subsets": {"v1": {}}, "DefaultSubset": "v1",
            "Failover": {
                "*": {"Targets": [{"Datacenter": "dc2"}, {"Service": "b"}, {"ServiceSubset": "v1"}, {"Peer": "east"}]}
            },
        },
        {"Kind": "service-resolver", "Name": "b", "ConnectTimeout": "2s"},
    )  # fmt: skip
    assert resolver(found, found.start).failover == (
        "v1.a.default.default.dc2",
        "b.default.default.dc1",
        "a.default.default.external.east",
    )
    assert found.targets["b.default.default.dc1"].connect_timeout == "2s"
    assert found.targets["a.default.default.external.east"].sni == ""


def test_the_rule_of_a_subset_beats_the_star() -> None:
    raw = {
        "Kind": "service-resolver", "Name": "a", "Subsets": {"v1": {}, "v2": {}}, "DefaultSubset": "v1",
        "Failover": {"v1": {"ServiceSubset": "v2"}, "*": {"Service": "b"}},
    }  # fmt: skip
    found = chain("a", raw)
    assert resolver(found, found.start).failover == ("v2.a.default.default.dc1",)


def test_the_router_ends_with_a_route_for_everything() -> None:
    found = chain(
        "a", *http("a", "b"),
        {
            "Kind": "service-router", "Name": "a",
            "Routes": [{"Match": {"HTTP": {"PathExact": "/b"}}, "Destination": {"Service": "b"}}],
        },
    )  # fmt: skip
    node = found.nodes[found.start]
    assert isinstance(node, RouterNode)
    assert [one.next for one in node.routes] == ["resolver:b.default.default.dc1", "resolver:a.default.default.dc1"]
    match = node.routes[-1].definition.match
    assert match is not None
    assert match.http is not None
    assert match.http.path_prefix == "/"


def test_copies_lead_to_resolvers_of_their_own() -> None:
    found = chain(
        "a",
        *http("a", "b", "c"),
        {"Kind": "service-router", "Name": "a", "Routes": [{"Destination": {"Mirror": {"Service": "b"}}}]},
        {"Kind": "service-resolver", "Name": "b", "Mirror": {"Service": "c", "Percent": 5}, "Redirect": None},
        {"Kind": "service-resolver", "Name": "c", "Mirror": {"Service": "b"}, "Fault": {"AbortStatus": 503}},
    )
    router = found.nodes["router:a.default.default"]
    assert isinstance(router, RouterNode)
    assert [one.mirror for one in router.routes] == ["resolver:b.default.default.dc1", ""]
    copied = resolver(found, "resolver:b.default.default.dc1")
    assert (copied.mirror, copied.mirror_percent) == ("resolver:c.default.default.dc1", 5)
    other = resolver(found, "resolver:c.default.default.dc1")
    assert (other.mirror, other.mirror_percent) == ("resolver:b.default.default.dc1", 100)
    assert other.fault is not None
    assert set(found.targets) == {f"{name}.default.default.dc1" for name in "abc"}


def test_overrides_make_another_chain_only_where_they_change_something() -> None:
    raws = [
        *http("a", "b"),
        {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 50}, {"Weight": 50, "Service": "b"}]},
    ]
    assert chain("a", *raws, overrides=Overrides(protocol="http")).customization == ""
    plain = chain("a", *raws, overrides=Overrides(protocol="tcp"))
    assert (plain.default, plain.protocol, len(plain.customization)) == (True, "tcp", 8)
    slow = chain("a", *raws, overrides=Overrides(connect_timeout="9s", mesh_gateway="local"))
    assert {target.connect_timeout for target in slow.targets.values()} == {"9s"}
    assert {target.mesh_gateway.mode for target in slow.targets.values()} == {"local"}


@pytest.mark.parametrize(
    ("raws", "text"),
    [
        (
            [{"Kind": "service-resolver", "Name": "a", "Redirect": {"Service": "b"}},
             {"Kind": "service-resolver", "Name": "b", "Redirect": {"Service": "a"}}],
            r"detected circular resolver redirect: \[a -> b -> a\]",
        ),
        (
            [*http("a", "b"),
             {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 100, "Service": "b"}]},
             {"Kind": "service-splitter", "Name": "b", "Splits": [{"Weight": 100, "Service": "a"}]}],
            r"detected circular reference: \[splitter:a -> splitter:b -> splitter:a\]",
        ),
        (
            [{"Kind": "service-router", "Name": "a", "Routes": []}],
            'uses a protocol "tcp" that does not permit advanced routing',
        ),
        (
            [*http("a"), {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 100, "Service": "b"}]}],
            'service "b" has "tcp" which is not "http"',
        ),
        (
            [*http("b"), {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 100, "Service": "b"}]}],
            'uses a protocol "tcp" that does not permit advanced routing',
        ),
        (
            [{"Kind": "service-resolver", "Name": "a", "Redirect": {"Service": "b", "ServiceSubset": "x"}}],
            'service "b" does not have a subset named "x"',
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(raws: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(InternalError, match=text):
        chain("a", *raws)


@given(st.lists(chain_entries, max_size=8), names)
def test_whatever_the_write_check_lets_through_compiles_into_a_chain_that_ends_in_targets(
    raws: list[dict[str, Any]], service: str
) -> None:
    entries = lookup(*raws)
    if chain_problem(entries, service):
        return
    found = compile_chain(entries, service, "dc1", TD)
    reached, waiting = set(), [found.start]
    while waiting:
        key = waiting.pop()
        if key in reached:
            continue
        reached.add(key)
        node = found.nodes[key]
        if isinstance(node, ResolverNode):
            assert node.target in found.targets
            assert set(node.failover or ()) <= set(found.targets)
            assert node.target not in (node.failover or ())
            waiting += [node.mirror] if node.mirror else []
        elif isinstance(node, SplitterNode):
            assert sum(one.weight for one in node.splits) == pytest.approx(100)
            waiting += [one.next for one in node.splits]
        else:
            waiting += [to for one in node.routes for to in (one.next, one.mirror) if to]
    assert reached == set(found.nodes)
