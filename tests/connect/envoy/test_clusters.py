"""Clusters; the recorded resources hold those that Consul has, these are our own words of configuration."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.connect.envoy import clusters, wire
from meshagent.connect.envoy.resources import CLUSTER
from meshagent.connect.peers import peer_chain
from meshagent.connect.resilience import resilience_of
from meshagent.connect.snapshot import Cluster, Inbound, Outbound, ProxySnapshot

CHAIN = peer_chain("api", "east", "dc1", "http", "td", "5s")
HELD = Cluster(CHAIN.targets["api.default.default.external.east"], ())
SNAPSHOT = ProxySnapshot("web-proxy", "web", "dc1", "td", True, "", roots=("r",), leaf_chain="l", leaf_key="k")


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (
            {"limits": {"retry_budget_percent": 25, "min_retries": 7}},
            {"circuit_breakers": {
                "thresholds": [{"retry_budget": {"budget_percent": {"value": 25.0}, "min_retry_concurrency": 7}}]
            }},
        ),
        (
            {"passive_health_check": {"success_rate_minimum_hosts": 4, "base_ejection_time": "1500ms"}},
            {"outlier_detection": {"success_rate_minimum_hosts": 4, "base_ejection_time": "1.5s"}},
        ),
        ({"panic_threshold_percent": 30}, {"common_lb_config": {"healthy_panic_threshold": {"value": 30.0}}}),
        (
            {"slow_start_window": "10s"},
            {"round_robin_lb_config": {"slow_start_config": {"slow_start_window": "10s"}}},
        ),
        (
            {"slow_start_window": "10s", "load_balancing_policy": "peak_ewma"},
            {
                "lb_policy": "LEAST_REQUEST",
                "least_request_lb_config": {"slow_start_config": {"slow_start_window": "10s"}},
            },
        ),
        (
            {"health_check": {"path": "/up", "interval": "3s"}},
            {"health_checks": [{
                "timeout": "2s", "interval": "3s", "unhealthy_threshold": 3, "healthy_threshold": 2,
                "http_health_check": {"path": "/up"},
            }]},
        ),
    ],
)  # fmt: skip
def test_what_an_upstream_says_of_itself(config: dict[str, Any], wanted: dict[str, Any]) -> None:
    made = clusters.eds(SNAPSHOT, Outbound("api", "", 0, chain=CHAIN, config=config), "x", HELD, "5s")
    assert {key: made[key] for key in wanted} == wanted
    wire.read(made, CLUSTER)


@pytest.mark.parametrize(
    ("protocol", "kind", "http2"), [("tcp", "grpc", True), ("grpc", "grpc", True), ("http", "tcp", False)]
)
def test_a_check_over_grpc_needs_http2(protocol: str, kind: str, http2: bool) -> None:
    chain = peer_chain("api", "east", "dc1", protocol, "td", "5s")
    config = {"health_check": {"grpc": True, "grpc_service": "s"}}
    outbound = Outbound("api", "", 0, chain=chain, config=config, resilience=resilience_of(config))
    made = clusters.eds(SNAPSHOT, outbound, "x", HELD, "5s")
    assert f"{kind}_health_check" in made["health_checks"][0]
    assert ("typed_extension_protocol_options" in made) is http2


def test_the_application_at_a_path() -> None:
    made = clusters.local_app(SNAPSHOT, Inbound("127.0.0.1", 1, "", 0, "/run/app.sock", protocol="grpc"))
    endpoint = made["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint == {"address": {"pipe": {"path": "/run/app.sock"}}}
    assert "typed_extension_protocol_options" in made
    assert made["connect_timeout"] == "5s"
