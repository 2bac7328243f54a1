"""`builtin/otel-access-logging`."""

from __future__ import annotations

from typing import Any

from meshtest.extending import extended, filters_of

CONFIG: dict[str, Any] = {
    "GrpcService": {"Target": {"URI": "localhost:4317"}},
    "LogName": "mine",
    "BufferFlushInterval": "2s",
    "BufferSizeBytes": 0,
    "FilterStateObjectsToLog": ["a"],
    "RetryPolicy": {"NumRetries": 1},
    "Body": "%PROTOCOL%",
    "Attributes": {"text": "a", "number": 1, "share": 0.5, "truth": True, "list": ["a"], "map": {"b": None}},
    "ResourceAttributes": {"service.name": "web"},
}


def logs(listener: str, **arguments: Any) -> list[dict[str, Any]]:
    found = extended("builtin/otel-access-logging", {"Config": CONFIG, **arguments})
    return [log for one in filters_of(found, listener) for log in one["typed_config"].get("access_log", ())]


def test_one_more_log() -> None:
    [log] = logs("public_listener")
    made = log["typed_config"]
    assert made["common_config"] == {
        "log_name": "mine",
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "local_access_log"}, "timeout": "1s"},
        "buffer_flush_interval": "2s",
        "buffer_size_bytes": 0,
        "filter_state_objects_to_log": ["a"],
        "grpc_stream_retry_policy": {
            "retry_back_off": {"base_interval": "1s", "max_interval": "30s"},
            "num_retries": 1,
        },
    }
    assert made["body"] == {"string_value": "%PROTOCOL%"}
    values = {one["key"]: one["value"] for one in made["attributes"]["values"]}
    assert values == {
        "text": {"string_value": "a"},
        "number": {"string_value": "1"},
        "share": {"string_value": "0.5"},
        "truth": {"string_value": "true"},
        "list": {"array_value": {"values": [{"string_value": "a"}]}},
        "map": {"kvlist_value": {"values": [{"key": "b", "value": {"string_value": ""}}]}},
    }
    assert logs("db:") == []


def test_calls_of_upstreams_are_logged_where_it_is_asked_for() -> None:
    assert logs("public_listener", ListenerType="outbound") == []
    for listener in ("api:", "db:"):
        assert len(logs(listener, ListenerType="outbound")) == 1
