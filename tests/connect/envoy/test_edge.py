"""Gateways as Envoy's resources: what is not recorded, and that whatever is valid makes messages."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meshtest.certificates import make_ca, make_leaf
from meshtest.gateways import World
from meshtest.jwts import Issuer
from meshtest.meshcerts import TrustDomain

from meshagent.catalog.model import Proxy
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import ORDER, Resources
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError

LEAF = TrustDomain().snapshot("gw")


def resources(world: World, kind: str, **fields: Any) -> Resources:
    """What Envoy would hold, each shown to be a message."""
    snapshot = with_leaf(world.build(kind, "gw", **fields))
    found = render(snapshot)
    for type_url in ORDER:
        for resource in found.of(type_url).values():
            wire.encode(resource, type_url)
    return found


def with_leaf(snapshot: ProxySnapshot) -> ProxySnapshot:
    return msgspec.structs.replace(snapshot, leaf_chain=LEAF.leaf_chain, leaf_key=LEAF.leaf_key, roots=LEAF.roots)


def test_without_a_leaf_there_is_nothing() -> None:
    assert render(World("api").build("ingress-gateway", "gw")) == Resources()


def test_a_service_with_a_certificate_of_its_own_has_a_chain_and_routes_of_its_own() -> None:
    world = World("api", "shop")
    own = {"Name": "api", "Hosts": ["api.example.com"], "TLS": {"SDS": {"ClusterName": "sds", "CertResource": "api"}}}
    listener = {"Port": 8443, "Protocol": "http", "Services": [own, {"Name": "shop"}]}
    world.entry(Kind="ingress-gateway", Name="gw", TLS={"Enabled": True}, Listeners=[listener])
    found = resources(world, "ingress-gateway")
    assert {name: [host["name"] for host in one["virtual_hosts"]] for name, one in found.routes.items()} == {
        "8443_api": ["api"],
        "8443": ["shop"],
    }
    (made,) = found.listeners.values()
    assert [one.get("filter_chain_match") for one in made["filter_chains"]] == [
        {"server_names": ["api.example.com"]},
        None,
    ]
    stats = [one["filters"][0]["typed_config"]["stat_prefix"] for one in made["filter_chains"]]
    assert stats == ["ingress_upstream_8443_api", "ingress_upstream_8443"]
    assert made["listener_filters"][0]["name"] == "envoy.filters.listener.tls_inspector"


def test_every_address_has_its_listeners() -> None:
    world = World("api")
    listener = {"Port": 80, "Protocol": "http", "Services": [{"Name": "api", "Hosts": ["*"]}]}
    world.entry(Kind="ingress-gateway", Name="gw", Listeners=[listener])
    config = {"envoy_gateway_bind_addresses": {"six": {"address": "::", "port": 0}}}
    found = resources(world, "ingress-gateway", proxy=Proxy(config=config))
    assert sorted(found.listeners) == ["http:127.0.0.1:80", "http:[::]:80"]
    assert found.routes["80"]["virtual_hosts"][0]["domains"] == ["*"]


def test_a_route_that_demands_a_token_is_for_those_who_have_one() -> None:
    world = World("api")
    issuer = Issuer()
    world.entry(**issuer.provider())
    world.entry(Kind="api-gateway", Name="gw", Listeners=[{"Name": "l", "Port": 80, "Protocol": "http"}])
    to_api: dict[str, Any] = {"Services": [{"Name": "api"}]}
    wanted = {"JWT": {"Providers": [{"Name": "issuer", "VerifyClaims": [{"Path": ["role"], "Value": "admin"}]}]}}
    rules = [
        {**to_api, "Matches": [{"Path": {"Match": "prefix", "Value": "/admin"}}], "Filters": wanted},
        to_api,
    ]
    world.entry(Kind="http-route", Name="r", Parents=[{"Kind": "api-gateway", "Name": "gw"}], Rules=rules)
    found = resources(world, "api-gateway")
    admin, rest = found.routes["80"]["virtual_hosts"][0]["routes"]
    assert "typed_per_filter_config" not in rest
    (per_route,) = admin["typed_per_filter_config"].values()
    assert list(per_route["rbac"]["rules"]["policies"]) == ["consul-tokens"]
    (listener,) = found.listeners.values()
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert [one["name"] for one in manager["http_filters"]] == [
        "envoy.filters.http.jwt_authn", "envoy.filters.http.rbac", "envoy.filters.http.router",
    ]  # fmt: skip
    assert manager["normalize_path"]


def test_what_entries_do_on_purpose_is_done_at_gateways_too() -> None:
    world = World("api", "next")
    world.entry(Kind="service-resolver", Name="api", Mirror={"Service": "next"}, Fault={"AbortStatus": 503})
    listener = {"Port": 80, "Protocol": "http", "Services": [{"Name": "api"}]}
    world.entry(Kind="ingress-gateway", Name="gw", Listeners=[listener])
    found = resources(world, "ingress-gateway", proxy=Proxy(config={"otlp_endpoint": "http://collector"}))
    (route,) = found.routes["80"]["virtual_hosts"][0]["routes"]
    assert route["typed_per_filter_config"]["envoy.filters.http.fault"]["abort"]["http_status"] == 503
    (copy,) = route["route"]["request_mirror_policies"]
    assert copy["cluster"] in found.clusters
    (made,) = found.listeners.values()
    manager = made["filter_chains"][0]["filters"][0]["typed_config"]
    assert [one["name"].rpartition(".")[2] for one in manager["http_filters"]] == ["fault", "router"]
    assert manager["tracing"]["provider"]["typed_config"]["http_service"]["http_uri"]["cluster"] in found.clusters


PATHS = st.sampled_from(["/", "/a", "/a/b", "/v1"])
MATCH = st.fixed_dictionaries(
    {"Path": st.fixed_dictionaries({"Match": st.sampled_from(["exact", "prefix", "regex"]), "Value": PATHS})},
    optional={
        "Method": st.sampled_from(["GET", "POST"]),
        "Headers": st.lists(
            st.fixed_dictionaries(
                {"Match": st.sampled_from(["exact", "prefix", "suffix", "present", "regex"]), "Name": st.just("x-a"),
                 "Value": st.just("b")}
            ),
            max_size=1,
        ),
    },
)  # fmt: skip
HEADERS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"Set": st.just({"x": "%1"}), "Add": st.just({"y": "1"}), "Remove": st.just(["z"])}
    ),
    max_size=2,
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "Headers": HEADERS,
        "URLRewrite": st.just({"Path": "/new"}),
        "RetryFilter": st.just({"NumRetries": 2, "RetryOn": ["5xx"]}),
        "TimeoutFilter": st.just({"RequestTimeout": "1s"}),
    },
)
SERVICES = st.lists(
    st.fixed_dictionaries(
        {"Name": st.sampled_from(["api", "shop"])},
        optional={"Weight": st.integers(0, 3), "Filters": st.fixed_dictionaries({}, optional={"Headers": HEADERS})},
    ),
    max_size=3,
)
RULES = st.lists(
    st.fixed_dictionaries(
        {"Services": SERVICES}, optional={"Matches": st.lists(MATCH, max_size=2), "Filters": FILTERS}
    ),
    max_size=3,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RULES, st.sampled_from(["", "*.example.com", "a.example.com"]), st.booleans())
def test_any_valid_route_makes_messages_with_all_its_matches(
    rules: list[dict[str, Any]], host: str, secure: bool
) -> None:
    world = World("api", "shop")
    listener: dict[str, Any] = {"Name": "l", "Port": 80, "Protocol": "http", "Hostname": host}
    if secure:
        chain, key = (one.decode() for one in make_leaf(CA, "a.example.com"))
        world.entry(Kind="inline-certificate", Name="c", Certificate=chain, PrivateKey=key)
        listener["TLS"] = {"Certificates": [{"Kind": "inline-certificate", "Name": "c"}]}
    try:
        world.entry(Kind="api-gateway", Name="gw", Listeners=[listener])
        world.entry(Kind="http-route", Name="r", Parents=[{"Kind": "api-gateway", "Name": "gw"}], Rules=rules)
    except MeshError:  # not valid
        return
    found = resources(world, "api-gateway")
    accepted = any(rule["Services"] for rule in rules)
    wanted = sum(len(rule.get("Matches") or [1]) for rule in rules) if accepted else 0
    assert sum(len(one["routes"]) for table in found.routes.values() for one in table["virtual_hosts"]) == wanted


CA = make_ca()
LISTENERS = st.lists(
    st.fixed_dictionaries(
        {
            "Port": st.integers(1, 4),
            "Protocol": st.sampled_from(["tcp", "http", "http2", "grpc"]),
            "Services": st.lists(
                st.fixed_dictionaries(
                    {"Name": st.sampled_from(["api", "shop", "db", "*"])},
                    optional={
                        "Hosts": st.lists(st.sampled_from(["a.example.com", "*.b.c", "*"]), max_size=2),
                        "RequestHeaders": st.just({"Set": {"x": "1"}}),
                        "MaxConnections": st.integers(0, 5),
                        "TLS": st.just({"SDS": {"ClusterName": "sds", "CertResource": "r"}}),
                    },
                ),
                min_size=1,
                max_size=3,
            ),
        },
        optional={"TLS": st.just({"Enabled": True, "TLSMinVersion": "TLSv1_3"})},
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LISTENERS, st.booleans())
def test_any_valid_ingress_entry_makes_messages(listeners: list[dict[str, Any]], tls: bool) -> None:
    world = World("api", "shop", db="tcp")
    try:
        world.entry(Kind="ingress-gateway", Name="gw", TLS={"Enabled": tls}, Listeners=listeners)
    except MeshError:  # not valid
        return
    snapshot = world.build("ingress-gateway", "gw")
    found = resources(world, "ingress-gateway")
    assert snapshot.gateway is not None
    assert len(found.listeners) == len(snapshot.gateway.listeners)
