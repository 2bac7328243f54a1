"""Access logs: one for each request or connection, and one of a listener for connections that no filter chain takes.

Source: surface rows M22, X19; envoyproxy.io `access_loggers`; the recorded resources. What may change here: nothing but
sinks that entries may name.
"""

from __future__ import annotations

import json

from meshagent.catalog.model import AccessLogs
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["filter_logs", "listener_logs"]

_LOGGERS = "envoy.extensions.access_loggers."
#: What is logged where no format is given.
_FIELDS = {
    "start_time": "START_TIME",
    "route_name": "ROUTE_NAME",
    "method": "REQ(:METHOD)",
    "path": "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)",
    "protocol": "PROTOCOL",
    "response_code": "RESPONSE_CODE",
    "response_flags": "RESPONSE_FLAGS",
    "response_code_details": "RESPONSE_CODE_DETAILS",
    "connection_termination_details": "CONNECTION_TERMINATION_DETAILS",
    "bytes_received": "BYTES_RECEIVED",
    "bytes_sent": "BYTES_SENT",
    "duration": "DURATION",
    "upstream_service_time": "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)",
    "x_forwarded_for": "REQ(X-FORWARDED-FOR)",
    "user_agent": "REQ(USER-AGENT)",
    "request_id": "REQ(X-REQUEST-ID)",
    "authority": "REQ(:AUTHORITY)",
    "upstream_host": "UPSTREAM_HOST",
    "upstream_cluster": "UPSTREAM_CLUSTER",
    "upstream_local_address": "UPSTREAM_LOCAL_ADDRESS",
    "downstream_local_address": "DOWNSTREAM_LOCAL_ADDRESS",
    "downstream_remote_address": "DOWNSTREAM_REMOTE_ADDRESS",
    "requested_server_name": "REQUESTED_SERVER_NAME",
    "upstream_transport_failure_reason": "UPSTREAM_TRANSPORT_FAILURE_REASON",
}


def filter_logs(logs: AccessLogs | None) -> list[Resource]:
    """The `access_log` of a connection manager or a TCP proxy."""
    return [_log(logs, "Consul Listener Filter Log")] if logs is not None and logs.enabled else []


def listener_logs(logs: AccessLogs | None) -> list[Resource]:
    """The `access_log` of a listener: connections without a chain (flag NR) are seen nowhere else."""
    if logs is None or not logs.enabled or logs.disable_listener_logs:
        return []
    return [_log(logs, "Consul Listener Log", {"filter": {"response_flag_filter": {"flags": ["NR"]}}})]


def _log(logs: AccessLogs, name: str, more: Resource | None = None) -> Resource:
    return {"name": name, **(more or {}), "typed_config": _sink(logs)}


def _sink(logs: AccessLogs) -> Resource:
    kind = logs.type or "stdout"
    fields = {"log_format": _format(logs)}
    if kind == "file":
        return typed(_LOGGERS + "file.v3.FileAccessLog", {"path": logs.path, **fields})
    return typed(_LOGGERS + f"stream.v3.{'Stderr' if kind == 'stderr' else 'Stdout'}AccessLog", fields)


def _format(logs: AccessLogs) -> Resource:
    if logs.text_format:
        text = logs.text_format if logs.text_format.endswith("\n") else logs.text_format + "\n"
        return {"text_format_source": {"inline_string": text}}
    return {"json_format": _given(logs) or {name: f"%{word}%" for name, word in _FIELDS.items()}}


def _given(logs: AccessLogs) -> Resource:
    """The format as JSON; one that cannot be read (entries are checked when they are written) is the usual one."""
    try:
        found = json.loads(logs.json_format) if logs.json_format else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
