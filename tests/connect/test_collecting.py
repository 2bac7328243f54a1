"""Metrics of Envoys go through the mesh to a collector."""

from __future__ import annotations

from typing import Any

from meshagent.catalog.model import Proxy, Service
from meshagent.connect.collecting import collector_of, socket_at


def proxy(**config: Any) -> Service:
    return Service(id="web-sidecar-proxy", name="web-sidecar-proxy", proxy=Proxy(config=config))


def test_the_socket_has_a_short_name_of_its_own() -> None:
    first, other = socket_at("/d", "a" * 300), socket_at("/d/", "b", "ns")
    assert first != other
    assert len(first) == len(other) == len("/d/") + 27 + len(".sock")


def test_a_proxy_with_a_directory_has_an_upstream_more() -> None:
    [upstream] = collector_of(proxy(envoy_telemetry_collector_bind_socket_dir="/run/t"))
    assert upstream.destination_name == "consul-telemetry-collector"
    assert upstream.local_bind_socket_path == socket_at("/run/t", "web-sidecar-proxy")
    assert upstream.config == {"protocol": "grpc"}


def test_others_have_none() -> None:
    for config in ({}, {"envoy_telemetry_collector_bind_socket_dir": 5}, {"protocol": "http"}):
        assert collector_of(proxy(**config)) == ()
