"""`builtin/otel-access-logging` at work: one more access log of connection managers and TCP proxies.

Source: surface row M84; envoyproxy.io "OpenTelemetry access log"; opentelemetry.io `AnyValue`. What may change here:
nothing.
"""

from __future__ import annotations

from typing import Any

from meshagent.catalog.entries.extensions.otel_access_logging import Config, OtelAccessLogging
from meshagent.connect.envoy import durations
from meshagent.connect.envoy.extensions import targets
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["patch"]

_LOGGER = "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"
_ENDS = ("envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy")
#: The cluster of a collector on this host.
_LOCAL = "local_access_log"


def patch(arguments: OtelAccessLogging, context: Context) -> None:
    """Raises BadRequest."""
    for _, chain in context.chains(arguments.listener_type):
        for one in chain.get("filters", ()):
            if one["name"] in _ENDS:
                config = typed(_LOGGER, _config(arguments, context))
                log = {"name": "envoy.access_loggers.open_telemetry", "typed_config": config}
                one["typed_config"].setdefault("access_log", []).append(log)


def _config(arguments: OtelAccessLogging, context: Context) -> Resource:
    config = arguments.config
    made: Resource = {"common_config": _common(config, arguments.listener_type, context)}
    if config.body is not None:
        made["body"] = _any_value(config.body)
    for name, attributes in (("attributes", config.attributes), ("resource_attributes", config.resource_attributes)):
        if attributes:
            made[name] = {"values": _pairs(attributes)}
    return made


def _common(config: Config, listener: str, context: Context) -> Resource:
    made: Resource = {"log_name": config.log_name or listener, "transport_api_version": "V3"}
    if config.grpc_service is not None:
        made["grpc_service"] = targets.grpc_service(context, config.grpc_service, _LOCAL)
    if config.buffer_flush_interval:
        made["buffer_flush_interval"] = durations.of_text(config.buffer_flush_interval)
    if config.buffer_size_bytes is not None:
        made["buffer_size_bytes"] = config.buffer_size_bytes
    if config.filter_state_objects_to_log:
        made["filter_state_objects_to_log"] = list(config.filter_state_objects_to_log)
    if config.retry_policy is not None:
        made["grpc_stream_retry_policy"] = targets.retry_policy(config.retry_policy, most="30s")
    return made


def _pairs(values: dict[str, Any]) -> list[Resource]:
    return [{"key": key, "value": _any_value(value)} for key, value in values.items()]


def _any_value(value: Any) -> Resource:
    """A value with its kind beside it. Envoy takes texts, lists and maps only: a number or a truth is its text."""
    if isinstance(value, dict):
        return {"kvlist_value": {"values": _pairs(value)}}
    if isinstance(value, (list, tuple)):
        return {"array_value": {"values": [_any_value(one) for one in value]}}
    if isinstance(value, bool):
        return {"string_value": "true" if value else "false"}
    return {"string_value": "" if value is None else str(value)}
