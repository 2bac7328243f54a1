"""Routes as Envoy's: what a real Consul renders, and where the built-in proxy sends the same requests."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from meshtest.envoygolden import TRUST_DOMAIN, entries, lookup, recorded
from meshtest.envoyrules import Asked, edited, forwarded, route_of, shares
from meshtest.http7 import FakeCluster, World
from meshtest.http7 import request as head_of

from meshagent.catalog.entries.service_router import Redirect
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Upstream
from meshagent.connect.chain import Chain, ResolverNode, compile_chain
from meshagent.connect.envoy import faults, names, routes, wire
from meshagent.connect.envoy.resources import ROUTES
from meshagent.connect.l7 import Extras, FaultSettings
from meshagent.connect.proxy.http.exchange import edit_request, rewritten
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.policy import Route
from meshagent.connect.proxy.http.routes import compile_routes
from meshagent.connect.snapshot import Outbound, ProxySnapshot, outbound_of

PROXY = "web-sidecar-proxy"


def upstream(chain: Chain, **config: Any) -> Outbound:
    return outbound_of(Upstream(destination_name=chain.service, local_bind_port=1, config=config), chain)


def snapshot(*outbound: Outbound) -> ProxySnapshot:
    return ProxySnapshot(PROXY, "web", "dc1", TRUST_DOMAIN, True, "", outbound=outbound)


def golden_routes(name: str) -> list[Any]:
    return [pytest.param(name, key, id=f"{name}-{key}") for key in recorded(name)["proxies"][PROXY]["routes"]]


class TestRecorded:
    """What Consul 1.20 renders."""

    @pytest.mark.parametrize(
        ("name", "service"),
        [one for name in ("router", "splitter", "load-balancer", "resolver-redirect", "failover")
         for one in golden_routes(name)],
    )  # fmt: skip
    def test_of_an_upstream(self, name: str, service: str) -> None:
        chain = compile_chain(lookup(entries(name)), service, "dc1", TRUST_DOMAIN)
        one = upstream(chain)
        made = routes.outbound(snapshot(one), one)
        consul = dict(recorded(name)["proxies"][PROXY]["routes"][service])
        assert consul.pop("@type") == ROUTES
        assert made == consul
        assert made is not None
        assert wire.encode(made, ROUTES)

    def test_without_entries_it_stands_in_the_listener(self) -> None:
        one = upstream(compile_chain(lookup(entries("grpc")), "api", "dc1", TRUST_DOMAIN))
        assert routes.outbound(snapshot(one), one) is None
        listener = recorded("grpc")["proxies"][PROXY]["listeners"]["api:127.0.0.1:27101"]
        (consul,) = listener["filter_chains"][0]["filters"]
        assert routes.inline(snapshot(one), one) == consul["typed_config"]["route_config"]


def test_the_authority_is_rewritten_and_framing_is_left_alone() -> None:
    edits = {"Set": {"Host": "other", "Connection": "close"}, "Add": {"x-a": "1\n2"}, "Remove": ["host", "te"]}
    (route, _) = made_of({"Destination": {"RequestHeaders": edits, "ResponseHeaders": edits}})
    assert route["route"]["host_rewrite_literal"] == "other"
    assert set(route) == {"match", "route"}


def test_what_chains_do_not_say() -> None:
    extras = Extras(mirror="other", mirror_percent=12.5, num_retries=2, retry_on=("5xx",), per_try_timeout_s=0.5)
    chain = chain_of()
    options = routes.Options(extras, lambda name: f"cluster-of-{name}", 7000)
    (route,) = routes.of_chain(chain, options)
    assert route["route"] == {
        "cluster": "api.default.dc1.internal.td",
        "idle_timeout": "7s",
        "retry_policy": {"num_retries": 2, "retry_on": "5xx", "per_try_timeout": "0.5s"},
        "request_mirror_policies": [
            {
                "cluster": "cluster-of-other",
                "runtime_fraction": {"default_value": {"numerator": 125_000, "denominator": "MILLION"}},
            }
        ],
    }


def test_a_mirror_is_another_upstream_of_the_same_sidecar() -> None:
    known = map_entries("api", "other")
    both = [compile_chain(lookup(known), name, "dc1", TRUST_DOMAIN) for name in ("api", "other")]
    api, other = upstream(both[0], l7={"mirror": "other"}), upstream(both[1], l7={"mirror": "gone"})
    here = snapshot(api, other)
    (host,) = routes.inline(here, api)["virtual_hosts"]
    (policy,) = host["routes"][0]["route"]["request_mirror_policies"]
    assert policy["cluster"] == names.cluster(both[1], both[1].targets["other.default.default.dc1"].id)
    (host,) = routes.inline(here, other)["virtual_hosts"]
    assert "request_mirror_policies" not in host["routes"][0]["route"]


# --- the same routes as the built-in proxy's ---


def map_entries(*services: str, more: tuple[dict[str, Any], ...] = ()) -> Any:
    defaults = [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in services]
    made = [parse(one).normalised() for one in (*defaults, *more)]
    assert [one.problem() for one in made] == [""] * len(made)
    return {(one.kind, one.name): one for one in made}


def chain_of(*raws: dict[str, Any]) -> Chain:
    return compile_chain(lookup(map_entries("api", "other", "third", more=raws)), "api", "dc1", "td")


def made_of(*given: dict[str, Any]) -> list[Any]:
    return routes.of_chain(chain_of({"Kind": "service-router", "Name": "api", "Routes": list(given)}))


PATHS = st.sampled_from(["/", "/a", "/a/b", "/A", "/a/", "/v1"])
VALUES = st.sampled_from(["x", "xy", "yx", "50%"])
NAMES = st.sampled_from(["x-a", "X-B", "Host", "te", "x-c"])
EDITS = st.fixed_dictionaries(
    {},
    optional={
        "Add": st.dictionaries(NAMES, VALUES, max_size=2),
        "Set": st.dictionaries(NAMES, VALUES, max_size=2),
        "Remove": st.lists(NAMES, max_size=2),
    },
)


PERCENT = st.sampled_from([None, 0, 12.5, 100])
MIRRORS = st.fixed_dictionaries({"Service": st.sampled_from(["third", "other"]), "Percent": PERCENT})
FAULTS = st.fixed_dictionaries(
    {"AbortStatus": st.sampled_from([418, 503]), "AbortPercent": PERCENT},
    optional={
        "Delay": st.just("250ms"), "DelayPercent": PERCENT, "Header": st.just("X-Try"), "HeaderValue": st.just("yes"),
    },
).filter(lambda one: "Header" in one or "HeaderValue" not in one)  # fmt: skip


@st.composite
def matches(draw: st.DrawFn) -> dict[str, Any]:
    way = draw(st.sampled_from(["", "PathExact", "PathPrefix", "PathPrefix", "PathRegex"]))
    http: dict[str, Any] = {}
    if way:
        http[way] = draw(st.sampled_from(["/a.*", "/v[0-9]+", "/A"])) if way == "PathRegex" else draw(PATHS)
    if draw(st.booleans()):
        http["CaseInsensitive"] = True
    if draw(st.integers(0, 2)) == 0:
        kind = draw(st.sampled_from(["Present", "Exact", "Prefix", "Suffix", "Regex"]))
        value: Any = {"Present": True, "Regex": "x.*"}.get(kind) or draw(VALUES)
        name = draw(st.sampled_from(["x-a", "X-B", "host", ":authority", ":path", ":method"]))
        http["Header"] = [{"Name": name, kind: value, "Invert": draw(st.booleans())}]
    if draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(["Present", "Exact", "Regex"]))
        http["QueryParam"] = [{"Name": "q", kind: {"Present": True, "Exact": "1", "Regex": "[12]"}[kind]}]
    if draw(st.integers(0, 3)) == 0:
        http["Methods"] = draw(st.lists(st.sampled_from(["get", "PUT"]), min_size=1, max_size=2, unique=True))
    return http


@st.composite
def destinations(draw: st.DrawFn, http: dict[str, Any]) -> dict[str, Any]:
    rewritable = "PathExact" in http or "PathPrefix" in http
    if draw(st.integers(0, 4)) == 0:
        redirect: dict[str, Any] = {"HostRedirect": draw(st.sampled_from(["new.example", "10.0.0.1"]))}
        if draw(st.booleans()):
            redirect["ResponseCode"] = draw(st.sampled_from([302, 308]))
        return {"Redirect": redirect}
    found: dict[str, Any] = {"RequestHeaders": draw(EDITS), "ResponseHeaders": draw(EDITS)}
    optional = {
        "Service": st.sampled_from(["other", "api"]),
        "RequestTimeout": st.sampled_from(["3s", "-1s", "0s"]),
        "IdleTimeout": st.sampled_from(["4s", "250ms"]),
        "NumRetries": st.integers(1, 3),
        "RetryOnConnectFailure": st.booleans(),
        "RetryOnStatusCodes": st.just([503]),
        "RetryOn": st.just(["5xx", "reset"]),
    }
    found |= {key: draw(value) for key, value in optional.items() if draw(st.integers(0, 3)) == 0}
    if draw(st.integers(0, 2)) == 0:
        found["Mirror"] = draw(MIRRORS)
    if draw(st.integers(0, 2)) == 0:
        found["Fault"] = draw(FAULTS)
    if rewritable and draw(st.booleans()):
        found["PrefixRewrite"] = draw(st.sampled_from(["/", "/new", "/n/"]))
    return found


@st.composite
def entry_sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    raws: list[dict[str, Any]] = []
    if draw(st.booleans()):
        given = []
        for _ in range(draw(st.integers(1, 3))):
            http = draw(matches())
            given.append({"Match": {"HTTP": http}, "Destination": draw(destinations(http))})
        raws.append({"Kind": "service-router", "Name": "api", "Routes": given})
    for name, second in (("api", "other"), ("other", "third")):
        if draw(st.booleans()):
            first = draw(st.sampled_from([0, 0.5, 33.33, 50, 100]))
            splits = [
                {"Weight": weight, "Service": to, "RequestHeaders": draw(EDITS), "ResponseHeaders": draw(EDITS)}
                for weight, to in ((first, name), (100 - first, second))
            ]
            raws.append({"Kind": "service-splitter", "Name": name, "Splits": splits})
        if draw(st.booleans()):
            resolver: dict[str, Any] = {"RequestTimeout": draw(st.sampled_from(["", "9s"]))}
            if draw(st.booleans()):
                resolver["Mirror"] = draw(MIRRORS)
            if draw(st.booleans()):
                resolver["Fault"] = draw(FAULTS)
            raws.append({"Kind": "service-resolver", "Name": name, **resolver})
    return raws


REQUESTS = st.builds(
    Asked,
    method=st.sampled_from(["GET", "PUT"]),
    path=st.tuples(PATHS, st.sampled_from(["", "?q=1", "?q", "?q=12&q=1"])).map("".join),
    headers=st.lists(st.tuples(st.sampled_from(["x-a", "x-b"]), VALUES), max_size=3).map(tuple),
    authority=st.sampled_from(["api", "x"]),
)


def built_in(chain: Chain, extras: Extras | None = None) -> Any:
    world = World()

    def cluster(key: str) -> FakeCluster:
        node = chain.nodes[key]
        assert isinstance(node, ResolverNode)
        return FakeCluster(world, names.cluster(chain, node.target))

    return compile_routes(chain, cluster, extras)


def head(asked: Asked) -> RequestHead:
    headers = [(name.encode(), value.encode()) for name, value in asked.headers]
    return head_of(asked.path.encode(), asked.method.encode(), headers, authority=asked.authority.encode())


def sorted_headers(headers: Any) -> list[tuple[str, list[str]]]:
    """Values by name, in their order."""
    text = [tuple(one.decode() if isinstance(one, bytes) else one for one in pair) for pair in headers]
    return [(name, [value for key, value in text if key == name]) for name in sorted({key for key, _ in text})]


@settings(max_examples=150)
@given(entry_sets(), st.lists(REQUESTS, min_size=6, max_size=6), st.booleans())
def test_both_proxies_send_requests_the_same_way(
    raws: list[dict[str, Any]], requested: list[Asked], faulty: bool
) -> None:
    chain = chain_of(*raws)
    extras = Extras(fault=FaultSettings(abort_status=500)) if faulty else Extras()
    one = msgspec.structs.replace(upstream(chain), extras=extras)
    rendered = routes.of_chain(chain, routes.Options(extras))
    assert wire.encode(routes.configuration("x", [routes.virtual_host("x", ["*"], rendered)]), ROUTES)
    table = built_in(chain, extras)
    for asked in requested:
        envoys, ours = route_of(rendered, asked), table.match(head(asked))
        assert envoys is not None
        if ours.direct is not None:
            assert envoys["redirect"]["host_redirect"].encode() in dict(ours.direct(head(asked)).headers)[b"location"]
            assert "typed_per_filter_config" not in envoys
            continue
        check_experiments(ours, envoys)
        assert "typed_per_filter_config" not in envoys or routes.has_faults(one)
        check_forwarding(ours, envoys, asked)


def check_experiments(ours: Route, envoys: dict[str, Any]) -> None:
    policies = envoys["route"].get("request_mirror_policies", [])
    expected = [] if ours.mirror is None else [(ours.mirror.cluster.name, ours.mirror.percent)]
    assert [(one["cluster"], percent(one["runtime_fraction"]["default_value"])) for one in policies] == expected
    fault = envoys.get("typed_per_filter_config", {}).get(faults.NAME, {})
    mine = ours.fault
    abort, delay = fault.get("abort"), fault.get("delay")
    assert (abort is None) == (mine is None or not mine.abort_status)
    assert (delay is None) == (mine is None or not mine.delay_s)
    if mine is not None and abort is not None:
        assert (abort["http_status"], percent(abort["percentage"])) == (mine.abort_status, mine.abort_percent)
    if mine is not None and delay is not None:
        assert (seconds(delay["fixed_delay"]), percent(delay["percentage"])) == (mine.delay_s, mine.delay_percent)
    wanted = [] if mine is None or mine.header is None else [(mine.header[0].decode(), mine.header[1].decode())]
    assert [
        (one["name"].lower(), one.get("string_match", {}).get("exact", "")) for one in fault.get("headers", [])
    ] == wanted


def percent(share: dict[str, Any]) -> float:
    return float(share["numerator"] / {"HUNDRED": 1, "MILLION": 10_000}[share["denominator"]])


def check_forwarding(ours: Route, envoys: dict[str, Any], asked: Asked) -> None:
    bounds = [0.0, *(bound for bound, _ in ours.splits)]
    mine = [
        (one.cluster.name, pytest.approx(high - low, abs=1e-4))
        for (high, one), low in zip(ours.splits, bounds, strict=False)
    ]
    theirs = shares(envoys)
    assert [one[:2] for one in theirs] == mine
    action = envoys["route"]
    assert seconds(action.get("timeout", "15s")) == ours.timeout_s
    assert seconds(action.get("idle_timeout", "300s")) == ours.idle_timeout_s
    policy = action.get("retry_policy", {})
    conditions = set(filter(None, policy.get("retry_on", "").split(","))) - {"retriable-status-codes"}
    assert conditions == set(ours.retry.conditions if ours.retry else ())
    assert set(policy.get("retriable_status_codes", ())) == set(ours.retry.statuses if ours.retry else ())
    assert policy.get("num_retries", 1) == (ours.retry.num_retries if ours.retry else 1)
    for (_, destination), (_, _, cluster) in zip(ours.splits, theirs, strict=True):
        sent = head(asked)
        if ours.rewrite is not None:
            sent.path = rewritten(sent.path, *ours.rewrite)
        for edits in (destination.request, ours.request):
            edit_request(sent, edits.apply(sent.headers))
        expected = forwarded(asked, envoys, cluster)
        assert (sent.path.decode(), sent.authority.decode()) == (expected.path, expected.authority)
        assert sorted_headers(sent.headers) == sorted_headers(expected.headers)
        answer = [("x-a", "1"), ("x-b", "2"), ("server", "s")]
        mine_back = ours.response.apply(destination.response.apply([(a.encode(), b.encode()) for a, b in answer]))
        theirs_back = edited(edited(answer, cluster, "response"), envoys, "response")
        assert sorted_headers(one for one in mine_back if one[0] != b"host") == sorted_headers(theirs_back)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


class TestRedirects:
    """Ours: answered by the proxy."""

    def test_all_fields(self) -> None:
        one = Redirect(
            scheme_redirect="https", host_redirect="h", port_redirect=1, path_redirect="/p", strip_query=True,
            response_code=308,
        )  # fmt: skip
        assert routes.redirect(one) == {
            "scheme_redirect": "https", "host_redirect": "h", "port_redirect": 1, "path_redirect": "/p",
            "strip_query": True, "response_code": "PERMANENT_REDIRECT",
        }  # fmt: skip

    def test_it_stands_in_place_of_the_cluster(self) -> None:
        to = {"Redirect": {"PrefixRewrite": "/b"}, "ResponseHeaders": {"Set": {"x-a": "1"}}}
        route, _ = made_of({"Match": {"HTTP": {"PathPrefix": "/a"}}, "Destination": to})
        assert route["redirect"] == {"prefix_rewrite": "/b"}
        assert "route" not in route
        assert route["response_headers_to_add"]
