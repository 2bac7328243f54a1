"""Go's duration strings: `300ms`, `1h15m30.5s`, `-1.5h`, `0`.

Source: pkg.go.dev/time#ParseDuration and #Duration.String. Consul's API and configuration write every duration this
way. Values are whole nanoseconds inside (Go's int64), seconds as float at the edges.
"""

from __future__ import annotations

import re

__all__ = ["MAX_NS", "format_duration", "parse_duration", "parse_seconds"]

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # micro sign
    "μs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
MAX_NS = 2**63 - 1
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration string.

    Raises:
        ValueError: with Go's wording, e.g. ``time: missing unit in duration "10"``.
    """
    rest = text
    sign = 1
    if rest[:1] in {"+", "-"}:
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0
    at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or not (match[1] or match[2]):
            raise ValueError(_why(text, rest[at:]))
        unit = _UNITS_NS[match[3]]
        total += int(match[1] or 0) * unit
        if match[2]:
            total += int(match[2]) * unit // 10 ** len(match[2])
        at = match.end()
    if total > MAX_NS:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def _why(text: str, rest: str) -> str:
    number = re.match(r"[0-9]*(\.[0-9]*)?", rest, re.ASCII)
    digits = number[0] if number else ""
    if not digits.strip("."):
        return f'time: invalid duration "{text}"'
    unit = re.match(r"[^0-9.]*", rest[len(digits) :])
    if unit is None or not unit[0]:
        return f'time: missing unit in duration "{text}"'
    return f'time: unknown unit "{unit[0]}" in duration "{text}"'


def parse_seconds(text: str) -> float:
    """Seconds of a Go duration string. Raises ValueError as `parse_duration`."""
    return parse_duration(text) / 1e9


def format_duration(ns: int) -> str:
    """The canonical Go form: `1h0m0s`, `1.5s`, `250ms`, `0s`."""
    if ns == 0:
        return "0s"
    sign = "-" if ns < 0 else ""
    ns = abs(ns)
    if ns < 1_000:
        return f"{sign}{ns}ns"
    if ns < 1_000_000:
        return f"{sign}{_decimal(ns, 1_000)}µs"
    if ns < 1_000_000_000:
        return f"{sign}{_decimal(ns, 1_000_000)}ms"
    minutes, rest = divmod(ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    if minutes:
        return f"{sign}{minutes}m{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0")
