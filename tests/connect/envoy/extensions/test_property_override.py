"""`builtin/property-override`; with recorded resources it is in the replay."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.extending import extended, sidecar

from meshagent.catalog.model import EnvoyExtension
from meshagent.connect.envoy.extensions import ExtensionFailed
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import Resources

API = "api.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"
DB = API.replace("api", "db", 1)


def patched(kind: str, direction: str, path: str, value: Any = None, services: tuple[str, ...] = ()) -> Resources:
    chosen = {"ResourceType": kind, "TrafficDirection": direction, "Services": [{"Name": one} for one in services]}
    patch = {"ResourceFilter": chosen, "Op": "remove" if value is None else "add", "Path": path}
    return extended("builtin/property-override", {"Patches": [patch | ({} if value is None else {"Value": value})]})


def test_fields_on_the_way_are_made() -> None:
    found = patched("cluster", "outbound", "/upstream_connection_options/tcp_keepalive/keepalive_probes", 5, ("api",))
    assert found.clusters[API]["upstream_connection_options"] == {"tcp_keepalive": {"keepalive_probes": 5}}
    assert found.clusters[DB] == render(sidecar()).clusters[DB]


def test_a_map_takes_the_place_of_a_message() -> None:
    found = patched("cluster", "outbound", "/outlier_detection", {"consecutive_5xx": 3})
    assert found.clusters[DB]["outlier_detection"] == {"consecutive_5xx": 3}


def test_a_span_of_time_is_a_map_of_numbers() -> None:
    assert (
        patched("cluster", "inbound", "/connect_timeout", {"seconds": 7}).clusters["local_app"]["connect_timeout"]
        == "7s"
    )


def test_the_other_side_of_a_oneof_goes() -> None:
    found = patched("cluster", "outbound", "/cluster_type/name", "envoy.clusters.mine")
    assert found.clusters[API]["cluster_type"] == {"name": "envoy.clusters.mine"}
    assert "type" not in found.clusters[API]


def test_fields_are_taken_away() -> None:
    assert "alt_stat_name" not in patched("cluster", "outbound", "/alt_stat_name").clusters[API]
    assert patched("cluster", "outbound", "/outlier_detection/interval").clusters[API]["name"] == API


def test_listeners_of_one_side_or_one_service() -> None:
    found = patched("listener", "outbound", "/stat_prefix", "mine", ("db",)).listeners
    assert {name for name, one in found.items() if one.get("stat_prefix") == "mine"} == {"db:127.0.0.1:27102"}
    found = patched("listener", "inbound", "/stat_prefix", "mine").listeners
    assert {name for name, one in found.items() if one.get("stat_prefix") == "mine"} == {
        "public_listener:127.0.0.1:27001"
    }


def test_routes_of_their_own_and_those_inside_a_listener() -> None:
    assert (
        patched("route", "outbound", "/max_direct_response_body_size_bytes", 9).routes["api"][
            "max_direct_response_body_size_bytes"
        ]
        == 9
    )
    found = patched("route", "inbound", "/max_direct_response_body_size_bytes", 9)
    assert "max_direct_response_body_size_bytes" in repr(found.listeners["public_listener:127.0.0.1:27001"])


def test_instances_of_upstreams() -> None:
    found = patched("cluster-load-assignment", "outbound", "/policy/overprovisioning_factor", 200, ("api",))
    assert found.endpoints[API]["policy"] == {"overprovisioning_factor": 200}
    assert "policy" not in found.endpoints[DB]


def test_a_value_that_is_written_as_a_text_is_set_as_a_whole() -> None:
    chosen = {"ResourceType": "cluster", "TrafficDirection": "inbound"}
    patch = {"ResourceFilter": chosen, "Op": "add", "Path": "/connect_timeout/seconds", "Value": 7}
    extension = EnvoyExtension(name="builtin/property-override", arguments={"Patches": [patch]}, required=True)
    with pytest.raises(ExtensionFailed, match="the field 'connect_timeout' is written as '5s': set it as a whole"):
        render(sidecar(extension))
