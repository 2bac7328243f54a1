"""What our proxy does to requests beyond what Consul's entries have fields for: faults, mirrors, limits of a try.

Faults and mirrors are fields of `service-router` (one route) and `service-resolver` (requests that come to it by no
split); `experiments_of` says which counts. Below them, and for limits of a try, they come from two places, the second
wins: the `Meta` of the destination's `service-defaults` (for all who call it), under `l7_` keys, and the opaque
configuration of an upstream (for one caller), under the same words in a block `l7`. A value that cannot be read counts
as left out, as in Consul's opaque configuration.

    Meta { l7_fault_delay = "100ms"  l7_fault_delay_percent = "10" }
    config { l7 { fault_abort_status = 503  fault_abort_percent = 5  mirror = "api-next"  mirror_percent = 10 } }

Source: Envoy's HTTPFault, RequestMirrorPolicy and RetryPolicy for what they mean. What may change here: a row of
`_KEYS` reads one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.entries.experiments import Fault, percent_of
from meshagent.connect.chain import NextRoute, Node, ResolverNode
from meshagent.durations import parse_duration

__all__ = ["Experiments", "Extras", "FaultSettings", "experiments_of", "extras_of"]


class FaultSettings(msgspec.Struct, frozen=True):
    """Errors on purpose; percentages are 0..100. With a `header`, only requests that have it (with that value)."""

    delay_s: float = 0.0
    delay_percent: float = 100.0
    abort_status: int = 0
    abort_percent: float = 100.0
    header: str = ""
    header_value: str = ""


class Extras(msgspec.Struct, frozen=True):
    """`mirror` names another upstream of the same sidecar. `num_retries` and `retry_on` hold where no route says it."""

    fault: FaultSettings | None = None
    mirror: str = ""
    mirror_percent: float = 100.0
    num_retries: int = 0
    retry_on: tuple[str, ...] = ()
    per_try_timeout_s: float = 0.0


#: (key, kind, where it goes)
_KEYS: tuple[tuple[str, str, str], ...] = (
    ("fault_delay", "seconds", "fault.delay_s"),
    ("fault_delay_percent", "percent", "fault.delay_percent"),
    ("fault_abort_status", "status", "fault.abort_status"),
    ("fault_abort_percent", "percent", "fault.abort_percent"),
    ("fault_header", "text", "fault.header"),
    ("fault_header_value", "text", "fault.header_value"),
    ("mirror", "text", "mirror"),
    ("mirror_percent", "percent", "mirror_percent"),
    ("num_retries", "count", "num_retries"),
    ("retry_on", "words", "retry_on"),
    ("per_try_timeout", "seconds", "per_try_timeout_s"),
)
_MAX_DELAY_S = 600.0


def extras_of(config: dict[str, Any], meta: dict[str, str]) -> Extras:
    """From an upstream's opaque configuration and the destination's `Meta`."""
    block = config.get("l7")
    given = block if isinstance(block, dict) else {}
    top: dict[str, Any] = {}
    fault: dict[str, Any] = {}
    for key, kind, place in _KEYS:
        value = _read(kind, given[key] if key in given else meta.get(f"l7_{key}"))
        if value is None:
            continue
        name = place.removeprefix("fault.")
        (fault if name != place else top)[name] = value
    if fault.get("delay_s") or fault.get("abort_status"):
        top["fault"] = FaultSettings(**fault)
    return Extras(**top)


def _read(kind: str, value: Any) -> Any:
    """The value, None when it cannot be read as this kind."""
    if value is None or isinstance(value, bool):
        return None
    if kind == "text":
        return value if isinstance(value, str) and value else None
    if kind == "words":
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        ok = isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)
        return tuple(words) if ok else None
    if kind == "seconds":
        try:
            seconds = parse_duration(str(value)) / 1e9
        except ValueError:
            return None
        return seconds if 0 < seconds <= _MAX_DELAY_S else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if kind == "percent":
        return number if 0 <= number <= 100 else None
    whole = int(number) if number == number and abs(number) < 1e6 else -1
    low, high = (200, 599) if kind == "status" else (0, 100)
    return whole if low <= whole <= high else None


class Experiments(msgspec.Struct, frozen=True):
    """What happens on purpose to the requests of one route. `mirror` is the resolver node that gets copies; "" leaves
    both to the upstream's `Extras`, as `fault` does when it is None."""

    mirror: str = ""
    mirror_percent: float = 100.0
    fault: FaultSettings | None = None


def experiments_of(node: Node, route: NextRoute | None = None) -> Experiments:
    """Those of requests that a route (None without a router) leads to a node: the route's own, else the resolver's."""
    resolver = node if isinstance(node, ResolverNode) else None
    to = route.definition.destination if route is not None else None
    found: dict[str, Any] = {}
    if route is not None and route.mirror and to is not None and to.mirror is not None:
        found = {"mirror": route.mirror, "mirror_percent": percent_of(to.mirror.percent)}
    elif resolver is not None and resolver.mirror:
        found = {"mirror": resolver.mirror, "mirror_percent": resolver.mirror_percent}
    fault = to.fault if to is not None and to.fault is not None else resolver.fault if resolver is not None else None
    return Experiments(**found, fault=_settings(fault) if fault is not None else None)


def _settings(fault: Fault) -> FaultSettings:
    return FaultSettings(
        delay_s=parse_duration(fault.delay) / 1e9 if fault.delay else 0.0,
        delay_percent=percent_of(fault.delay_percent),
        abort_status=fault.abort_status,
        abort_percent=percent_of(fault.abort_percent),
        header=fault.header,
        header_value=fault.header_value,
    )
