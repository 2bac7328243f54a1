"""What is found about an upstream of an Envoy, from what its administration interface shows."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from meshtest.extending import sidecar

from meshagent.connect.envoy.findings import Seen, find, upstream_ids
from meshagent.connect.envoy.render import render

NOW = datetime(2026, 1, 1, tzinfo=UTC)
API = "api.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"
CERTIFICATE = {
    "cert_chain": [{"expiration_time": "2026-01-02T00:00:00Z"}],
    "ca_cert": [{"expiration_time": "2036-01-02T00:00:00Z"}],
}


def seen(**health: Any) -> Seen:
    """An Envoy that holds what the sidecar of web is to hold."""
    held = render(sidecar())
    dump = [
        {"dynamic_listeners": [
            {"name": name, "active_state": {"listener": one}} for name, one in held.listeners.items()
        ]},
        {"dynamic_active_clusters": [{"cluster": one} for one in held.clusters.values()]},
        {"dynamic_route_configs": [{"route_config": one} for one in held.routes.values()]},
    ]  # fmt: skip
    hosts = [{"health_status": {"eds_health_status": "HEALTHY", **health}}]
    return Seen(
        certs={"certificates": [CERTIFICATE]},
        stats={"stats": [{"name": "listener_manager.lds.update_rejected", "value": 0}, {"histograms": {}}]},
        dump={"configs": dump},
        clusters={"cluster_statuses": [{"name": name, "host_statuses": hosts} for name in held.clusters]},
        now=NOW,
    )


def bad(found: Seen, upstream: str = "api", address: str = "") -> list[str]:
    return [one.text for one in find(found, upstream, address) if not one.good]


def test_all_is_well() -> None:
    assert [one.text for one in find(seen(), "api", "")] == [
        "Certificates are valid",
        "Envoy has 0 rejected configurations",
        "Envoy has detected 0 connection failure(s)",
        'Listener for upstream "api" found',
        'Route for upstream "api" found',
        f'Cluster "{API}" for upstream "api" found',
        f'Healthy endpoints for cluster "{API}" for upstream "api" found',
    ]
    assert bad(seen()) == bad(seen(), "db") == []
    assert "Route" not in repr(find(seen(), "db", "")), "connections have no routes"


def test_the_upstreams() -> None:
    assert upstream_ids(seen()) == (["api", "db"], [])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"certs": {}}, "There are no certificates"),
        ({"now": datetime(2026, 2, 1, tzinfo=UTC)}, "A leaf certificate ended at 2026-01-02T00:00:00Z"),
        ({"now": datetime(2046, 2, 1, tzinfo=UTC)}, "A leaf certificate ended at 2026-01-02T00:00:00Z"),
        ({"stats": {"stats": [{"name": "cluster_manager.cds.update_rejected", "value": 2}]}}, "Envoy has 2 rejected"),
        ({"clusters": {}}, f'No healthy endpoints for cluster "{API}" for upstream "api" found'),
    ],
)
def test_what_is_wrong(change: dict[str, Any], text: str) -> None:
    [problem] = bad(dataclasses.replace(seen(), **change))
    assert problem.startswith(text)


def test_what_is_missing() -> None:
    assert bad(seen(), "nobody") == ['No listener for upstream "nobody" found']
    without = seen()
    without.dump["configs"][2]["dynamic_route_configs"] = []
    assert bad(without) == ['No route for upstream "api" found']
    without = seen()
    without.dump["configs"][1]["dynamic_active_clusters"] = []
    assert bad(without) == [f'No cluster "{API}" for upstream "api" found']


@pytest.mark.parametrize("health", [{"eds_health_status": "UNHEALTHY"}, {"failed_outlier_check": True}])
def test_instances_that_are_not_dialled(health: dict[str, Any]) -> None:
    assert bad(seen(**health)) == [f'No healthy endpoints for cluster "{API}" for upstream "api" found']


def test_an_aggregate_stands_for_its_members() -> None:
    found = seen()
    [row] = [one for one in found.dump["configs"][1]["dynamic_active_clusters"] if one["cluster"]["name"] == API]
    row["cluster"] = {
        "name": API,
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": {"clusters": ["one", "two"]}},
    }
    assert len(bad(found)) == 1
    found.clusters["cluster_statuses"] = [{"name": "two", "host_statuses": [{}]}]
    assert bad(found) == []


def test_transparent_mode_is_found_by_address() -> None:
    found = seen()
    chain = {
        "filter_chain_match": {"prefix_ranges": [{"address_prefix": "240.0.0.1", "prefix_len": 32}]},
        "filters": [
            {
                "name": "envoy.filters.network.tcp_proxy",
                "typed_config": {"cluster": API, "stat_prefix": "upstream.api.default.default.dc1"},
            }
        ],
    }
    name = "outbound_listener:127.0.0.1:15001"
    found.dump["configs"][0]["dynamic_listeners"] = [
        {"name": name, "active_state": {"listener": {"filter_chains": [chain], "traffic_direction": "OUTBOUND"}}}
    ]
    assert upstream_ids(found) == ([], [(["240.0.0.1"], [API])])
    assert bad(found, "", "240.0.0.1") == bad(found, "api") == []
    assert bad(found, "", "240.0.0.9") == ['No listener for upstream "240.0.0.9" found']
