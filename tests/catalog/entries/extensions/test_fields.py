"""Paths and values of Envoy's resources, by Envoy's own descriptors."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.entries.extensions.fields import RESOURCES, BadPath, steps, value_problem

CLUSTER = "envoy.config.cluster.v3.Cluster"


@pytest.mark.parametrize("resource_type", sorted(RESOURCES))
def test_each_type_names_its_fields(resource_type: str) -> None:
    with pytest.raises(BadPath) as caught:
        steps(resource_type, "")
    lines = str(caught.value).split("\n")
    assert lines[0] == "non-empty, non-root Path is required;"
    assert lines[1] == f"available {steps_message(resource_type)} fields:"
    assert len(lines) <= 2 + 10 + 1


def steps_message(resource_type: str) -> str:
    package = {
        "cluster": "cluster.v3.Cluster",
        "cluster-load-assignment": "endpoint.v3.ClusterLoadAssignment",
        "listener": "listener.v3.Listener",
        "route": "route.v3.RouteConfiguration",
    }
    return f"envoy.config.{package[resource_type]}"


def test_all_fields_are_named_on_request() -> None:
    with pytest.raises(BadPath) as caught:
        steps("cluster", "/round_robin", debug=True)
    assert "round_robin_lb_config" in str(caught.value).split("\n")
    assert "First 10 fields" not in str(caught.value)
    with pytest.raises(BadPath, match="First 10 fields for this message included, configure with `Debug = true`"):
        steps("cluster", "/round_robin")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nope", "no match for field 'nope'!"),
        ("/outlier_detection/nope", "no match for field 'nope'!\navailable envoy.config.cluster.v3.OutlierDetection"),
        ("/name/x", "path contains member of non-message field 'name' (type 'string'); "),
        ("/filters/name", "path contains member of repeated field 'filters'; repeated field members are not supported"),
        (
            "/typed_extension_protocol_options/key",
            "path contains member of map field 'typed_extension_protocol_options'; map field members are not supported",
        ),
    ],
)
def test_paths_that_lead_nowhere(path: str, message: str) -> None:
    with pytest.raises(BadPath) as caught:
        steps("cluster", path)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/alt_stat_name", "x"),
        ("/respect_dns_ttl", True),
        ("/lb_policy", "MAGLEV"),
        ("/lb_policy", 5),
        ("/per_connection_buffer_limit_bytes", 32768),
        ("/per_connection_buffer_limit_bytes", 32768.0),
        ("/outlier_detection/enforcing_consecutive_5xx", 12),
        ("/outlier_detection", {"enforcing_consecutive_5xx": 1, "consecutive_5xx": 2}),
        ("/connect_timeout", {"seconds": 5}),
        ("/common_lb_config/healthy_panic_threshold/value", 1.5),
    ],
)
def test_values_that_are_taken(path: str, value: Any) -> None:
    assert value_problem(steps("cluster", path)[-1], value) == ""


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("/connect_timeout", "1s", "unsupported target field type 'google.protobuf.Duration'"),
        ("/outlier_detection", 5, "unsupported target field type 'envoy.config.cluster.v3.OutlierDetection'"),
        ("/health_checks", 5, "unsupported target field type 'repeated envoy.config.core.v3.HealthCheck'"),
        ("/typed_extension_protocol_options", {"a": 1}, "unsupported target field type 'map'"),
        ("/name", {"a": 1}, "unsupported target field type 'string' for a map"),
        ("/name", 5, "could not set value 5 of field 'name': it is no string"),
        ("/respect_dns_ttl", "true", "could not set value 'true' of field 'respect_dns_ttl': it is no bool"),
        ("/lb_policy", "NOPE", "could not set value 'NOPE' of field 'lb_policy': it is no envoy.config.cluster.v3.Clu"),
        ("/per_connection_buffer_limit_bytes", 1.5, "could not set value 1.5 of field 'value': it is no integer"),
        ("/outlier_detection", {"nope": 1}, "no match for field 'nope'!"),
        ("/outlier_detection", {"interval": {"seconds": 1}}, "unsupported value of field 'interval': values inside a"),
        (
            "/common_lb_config/healthy_panic_threshold/value",
            "x",
            "could not set value 'x' of field 'value': it is no f",
        ),
    ],
)
def test_values_that_are_not(path: str, value: Any, message: str) -> None:
    assert value_problem(steps("cluster", path)[-1], value).startswith(message)
