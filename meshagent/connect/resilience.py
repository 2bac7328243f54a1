"""How a proxy uses the instances of an upstream: limits, ejection, active checks, slow start. Values of a snapshot.

They come from the opaque configuration of an upstream (what `service-defaults` say of it is merged in before, under the
same words). Keys that Consul does not know are ours; a value that cannot be read counts as left out, as in Consul.

Source: surface rows M4, M21, M75; Envoy's API of outlier detection and circuit breakers for what is counted and for
defaults. What may change here: fields are added with a default; a row of `_KEYS` reads one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.durations import parse_duration

__all__ = ["ActiveCheck", "Ejection", "Limits", "Resilience", "given_of", "resilience_of"]


class Limits(msgspec.Struct, frozen=True):
    """Circuit breakers: what may be open or wait at once, towards one upstream. None is no limit.

    The bounds of requests are Envoy's; connections have none, for what an operating system can hold is its own limit.
    """

    max_connections: int | None = None
    max_pending_requests: int | None = 1024
    max_concurrent_requests: int | None = 1024
    retry_budget_percent: float = 20.0
    min_retries: int = 3


class Ejection(msgspec.Struct, frozen=True):
    """Outlier detection; seconds and percent. An enforcing percentage of 0 counts and does not eject."""

    interval_s: float = 10.0
    consecutive_5xx: int = 5
    enforcing_consecutive_5xx: int = 100
    consecutive_gateway_failure: int = 5
    enforcing_consecutive_gateway_failure: int = 0
    success_rate_hosts: int = 5
    success_rate_requests: int = 100
    success_rate_stdev_factor: float = 1.9
    enforcing_success_rate: int = 100
    max_ejection_percent: int = 10
    base_ejection_s: float = 30.0
    max_ejection_s: float = 300.0


class ActiveCheck(msgspec.Struct, frozen=True):
    """Instances are asked: a connection with proof of identity; with a `path` a GET that answers 2xx; with `grpc` a
    call of `grpc.health.v1` for `grpc_service` ("": the server) that says SERVING."""

    path: str = ""
    grpc: bool = False
    grpc_service: str = ""
    interval_s: float = 10.0
    timeout_s: float = 2.0
    healthy: int = 2
    unhealthy: int = 3


class Resilience(msgspec.Struct, frozen=True):
    """All of it. `policy` goes before the resolver's load balancer; `panic_percent` 0 never sends to ejected ones."""

    limits: Limits = Limits()
    ejection: Ejection = Ejection()
    check: ActiveCheck | None = None
    policy: str = ""
    slow_start_s: float = 0.0
    panic_percent: float = 0.0


#: (block of the configuration, its keys in order of preference, kind, struct, field); "" is the configuration itself.
_PASSIVE = "passive_health_check"
_KEYS: tuple[tuple[str, tuple[str, ...], str, type[msgspec.Struct], str], ...] = (
    ("limits", ("max_connections", "MaxConnections"), "whole", Limits, "max_connections"),
    ("limits", ("max_pending_requests", "MaxPendingRequests"), "whole", Limits, "max_pending_requests"),
    ("limits", ("max_concurrent_requests", "MaxConcurrentRequests"), "whole", Limits, "max_concurrent_requests"),
    ("limits", ("retry_budget_percent",), "number", Limits, "retry_budget_percent"),
    ("limits", ("min_retries",), "whole", Limits, "min_retries"),
    (_PASSIVE, ("interval", "Interval"), "seconds", Ejection, "interval_s"),
    (_PASSIVE, ("max_failures", "MaxFailures"), "positive", Ejection, "consecutive_5xx"),
    (
        _PASSIVE, ("enforcing_consecutive_5xx", "EnforcingConsecutive5xx"), "percent",
        Ejection, "enforcing_consecutive_5xx",
    ),
    (_PASSIVE, ("consecutive_gateway_failure",), "positive", Ejection, "consecutive_gateway_failure"),
    (
        _PASSIVE, ("enforcing_consecutive_gateway_failure",), "percent",
        Ejection, "enforcing_consecutive_gateway_failure",
    ),
    (_PASSIVE, ("success_rate_minimum_hosts",), "positive", Ejection, "success_rate_hosts"),
    (_PASSIVE, ("success_rate_request_volume",), "positive", Ejection, "success_rate_requests"),
    (_PASSIVE, ("enforcing_success_rate",), "percent", Ejection, "enforcing_success_rate"),
    (_PASSIVE, ("max_ejection_percent", "MaxEjectionPercent"), "percent", Ejection, "max_ejection_percent"),
    (_PASSIVE, ("base_ejection_time", "BaseEjectionTime"), "seconds", Ejection, "base_ejection_s"),
    ("health_check", ("path",), "text", ActiveCheck, "path"),
    ("health_check", ("grpc",), "flag", ActiveCheck, "grpc"),
    ("health_check", ("grpc_service",), "text", ActiveCheck, "grpc_service"),
    ("health_check", ("interval",), "seconds", ActiveCheck, "interval_s"),
    ("health_check", ("timeout",), "seconds", ActiveCheck, "timeout_s"),
    ("health_check", ("healthy_threshold",), "positive", ActiveCheck, "healthy"),
    ("health_check", ("unhealthy_threshold",), "positive", ActiveCheck, "unhealthy"),
    ("", ("load_balancing_policy",), "text", Resilience, "policy"),
    ("", ("slow_start_window",), "seconds", Resilience, "slow_start_s"),
    ("", ("panic_threshold_percent",), "number", Resilience, "panic_percent"),
)  # fmt: skip


def resilience_of(config: dict[str, Any]) -> Resilience:
    """What the opaque configuration of an upstream says."""
    found = given_of(config)
    check = ActiveCheck(**found.get(ActiveCheck, {})) if isinstance(config.get("health_check"), dict) else None
    return Resilience(
        limits=Limits(**found.get(Limits, {})),
        ejection=Ejection(**found.get(Ejection, {})),
        check=check,
        **found.get(Resilience, {}),
    )


def given_of(config: dict[str, Any]) -> dict[type[msgspec.Struct], dict[str, Any]]:
    """The fields that the configuration sets, by the struct they are of: for who has defaults of its own."""
    found: dict[type[msgspec.Struct], dict[str, Any]] = {}
    for block, names, kind, struct, field in _KEYS:
        given = config.get(block) if block else config
        if not isinstance(given, dict):
            continue
        value = next((given[name] for name in names if name in given), None)
        read = _read(kind, value)
        if read is not None:
            found.setdefault(struct, {})[field] = read
    return found


def _read(kind: str, value: Any) -> Any:
    """The value in its kind, None when it cannot be read."""
    if kind == "text":
        return value if isinstance(value, str) and value else None
    if kind == "flag":
        return value if isinstance(value, bool) else None
    if kind == "seconds":
        return _seconds(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**31:
        return None
    if kind == "number":
        return float(value)
    if kind == "percent":
        return min(int(value), 100)
    return int(value) if value or kind == "whole" else None


def _seconds(value: Any) -> float | None:
    """Nanoseconds, or a duration in Go's words; both positive."""
    if isinstance(value, str):
        try:
            value = parse_duration(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**63:
        return None
    return value / 1e9
