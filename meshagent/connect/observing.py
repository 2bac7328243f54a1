"""What a proxy tells of its traffic, and where: access logs, traces, metrics. Values of a snapshot.

Source: surface rows M22 (`AccessLogs`), M73 (`envoy_prometheus_bind_addr`); the other words of a proxy's configuration
are ours: `otlp_endpoint`, `otlp_headers`, `trace_sampling_percent`. What may change here: fields are added with a
default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.model import AccessLogs

__all__ = ["Observing", "observing_of"]


class Observing(msgspec.Struct, frozen=True):
    """`metrics_bind` is host:port or "". `otlp_endpoint` is a URL or "": without one no trace is begun."""

    access_logs: AccessLogs | None = None
    metrics_bind: str = ""
    otlp_endpoint: str = ""
    otlp_headers: dict[str, str] = {}
    sampling_percent: float = 100.0


def observing_of(config: dict[str, Any], access_logs: AccessLogs | None) -> Observing:
    """What the merged configuration of a proxy says; what cannot be read counts as left out."""
    percent = config.get("trace_sampling_percent", 100.0)
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        percent = 100.0
    headers = config.get("otlp_headers")
    return Observing(
        access_logs=access_logs if access_logs is not None and access_logs.enabled else None,
        metrics_bind=_text(config, "envoy_prometheus_bind_addr"),
        otlp_endpoint=_text(config, "otlp_endpoint"),
        otlp_headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
        sampling_percent=float(percent),
    )


def _text(config: dict[str, Any], key: str) -> str:
    value = config.get(key)
    return value if isinstance(value, str) else ""
