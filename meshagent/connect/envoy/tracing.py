"""Where spans of an Envoy go: as an operator writes it for Envoy, or to the collector of the proxy's configuration.

Source: surface rows M71, M73 (`envoy_listener_tracing_json`; `otlp_endpoint`, `otlp_headers` and
`trace_sampling_percent` are ours); Envoy's OpenTelemetryConfig; OTLP/HTTP, `/v1/traces`. What may change here: further
ways to send spans.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.connect.envoy import outside
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.header_edits import usable
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["clusters", "of_config", "of_snapshot"]

_CLUSTER = "otlp_collector"
_NONE: Resource = {"random_sampling": {}}


def of_config(config: Mapping[str, Any]) -> Resource | None:
    """`envoy_listener_tracing_json`; None without it, or where it is not JSON."""
    given = config.get("envoy_listener_tracing_json")
    try:
        found = json.loads(given) if isinstance(given, str) and given else None
    except ValueError:
        found = None
    return {key: value for key, value in found.items() if key != "@type"} if isinstance(found, dict) else None


def of_snapshot(snapshot: ProxySnapshot) -> Resource:
    """The `tracing` of a proxy's connection managers; where nobody wants spans none is begun."""
    return of_config(snapshot.config) or _collector(snapshot) or _NONE


def clusters(snapshot: ProxySnapshot) -> dict[str, Resource]:
    """The cluster of the collector, by name; {} where there is none, or the operator has another one."""
    if of_config(snapshot.config) or not _endpoint(snapshot):
        return {}
    return {_CLUSTER: outside.server(_CLUSTER, _endpoint(snapshot))}


def _endpoint(snapshot: ProxySnapshot) -> str:
    """Where spans go, "" for what is no URL that they can go to."""
    given = snapshot.observing.otlp_endpoint
    try:
        url = urlsplit(given)
        usable = url.scheme in {"http", "https"} and bool(url.hostname)
    except ValueError:
        return ""
    if not usable:
        return ""
    return given if url.path.strip("/") else given.rstrip("/") + "/v1/traces"


def _collector(snapshot: ProxySnapshot) -> Resource | None:
    endpoint = _endpoint(snapshot)
    if not endpoint:
        return None
    given = usable(HeaderModifiers(add=snapshot.observing.otlp_headers)).add or {}
    # Envoy formats values; these are meant as they stand.
    headers = [{"header": {"key": key, "value": value.replace("%", "%%")}} for key, value in given.items()]
    server: Resource = {"http_uri": {"uri": endpoint, "cluster": _CLUSTER, "timeout": "5s"}}
    if headers:
        server["request_headers_to_add"] = headers
    message = typed(
        "envoy.config.trace.v3.OpenTelemetryConfig", {"http_service": server, "service_name": snapshot.service}
    )
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": message},
        "random_sampling": {"value": snapshot.observing.sampling_percent},
    }
