"""Where spans of an Envoy go."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.connect.envoy import connection_manager, tracing, wire
from meshagent.connect.envoy.resources import CLUSTER
from meshagent.connect.observing import Observing
from meshagent.connect.snapshot import Inbound, ProxySnapshot


def snapshot(endpoint: str = "", config: dict[str, Any] | None = None, **more: Any) -> ProxySnapshot:
    return ProxySnapshot(
        "p", "web", "dc1", "td", True, "",
        inbound=Inbound("127.0.0.1", 1, "127.0.0.1", 2, protocol="http"),
        observing=Observing(otlp_endpoint=endpoint, **more),
        config=config or {},
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[]", 5])
def test_what_cannot_be_read_is_left_out(text: Any) -> None:
    assert tracing.of_config({"envoy_listener_tracing_json": text}) is None
    assert tracing.of_snapshot(snapshot(config={"envoy_listener_tracing_json": text})) == {"random_sampling": {}}


def test_as_an_operator_writes_it_before_the_collector() -> None:
    kind = (
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing"
    )
    text = f'{{"@type": "{kind}", "random_sampling": {{"value": 5}}}}'
    here = snapshot("http://collector:4318", {"envoy_listener_tracing_json": text})
    assert tracing.of_snapshot(here) == {"random_sampling": {"value": 5}}
    assert tracing.clusters(here) == {}


@pytest.mark.parametrize(
    ("endpoint", "uri", "port", "tls"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces", 4318, False),
        ("http://collector:4318/", "http://collector:4318/v1/traces", 4318, False),
        ("https://collector/own/path", "https://collector/own/path", 443, True),
    ],
)
def test_the_collector_of_the_configuration(endpoint: str, uri: str, port: int, tls: bool) -> None:
    here = snapshot(endpoint, otlp_headers={"x-key": "50%REQ(a)%", "te": "x"}, sampling_percent=12.5)
    found = tracing.of_snapshot(here)
    message = found["provider"]["typed_config"]
    assert message["http_service"]["http_uri"]["uri"] == uri
    assert message["http_service"]["request_headers_to_add"] == [{"header": {"key": "x-key", "value": "50%%REQ(a)%%"}}]
    assert (message["service_name"], found["random_sampling"]) == ("web", {"value": 12.5})
    ((name, cluster),) = tracing.clusters(here).items()
    assert message["http_service"]["http_uri"]["cluster"] == name
    (endpoint_,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint_["endpoint"]["address"]["socket_address"] == {"address": "collector", "port_value": port}
    assert ("transport_socket" in cluster) is tls
    assert wire.encode(cluster, CLUSTER)
    assert wire.encode(connection_manager.inbound(here)["typed_config"])


@given(st.text(max_size=20))
def test_any_endpoint_is_a_collector_or_none(text: str) -> None:
    for endpoint in (text, f"http://{text}"):
        here = snapshot(endpoint)
        assert ("provider" in tracing.of_snapshot(here)) is bool(tracing.clusters(here))
