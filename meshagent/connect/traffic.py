"""Rates and quantiles of edges from two looks at their counts. Pure.

Source: prometheus.io, "histogram_quantile" (linear inside a bucket). What may change here: further columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from meshagent.connect.proxy.telemetry.series import BOUNDS_S

__all__ = ["Row", "quantile", "rows"]

Counts = dict[str, Any]


class Row(msgspec.Struct, frozen=True):
    """One edge over an interval. Rates are each second; `success_percent` and times are None without requests."""

    direction: str
    source: str
    destination: str
    route: str
    requests_per_s: float
    success_percent: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    retries_per_s: float
    connections: int
    connections_per_s: float
    denied: int
    bytes_per_s: float


def quantile(buckets: list[int], part: float) -> float | None:
    """Seconds below which `part` (0..1) of what was counted lies; None when nothing was."""
    total = sum(buckets)
    if not total:
        return None
    rank, below = part * total, 0
    for at, count in enumerate(buckets):
        if count and below + count >= rank:
            low = BOUNDS_S[at - 1] if at else 0.0
            if at >= len(BOUNDS_S):
                return BOUNDS_S[-1]
            return low + (BOUNDS_S[at] - low) * max(0.0, rank - below) / count
        below += count
    return BOUNDS_S[-1]


def rows(before: Iterable[Counts], after: Iterable[Counts], seconds: float) -> list[Row]:
    """What happened on each edge between two looks; what began anew in between counts from nothing."""
    old = _together(before)
    found = [_row(counts, old.get(edge), seconds) for edge, counts in _together(after).items()]
    return sorted(found, key=lambda row: (-row.requests_per_s, -row.connections_per_s, row.source, row.destination))


def _together(counts: Iterable[Counts]) -> dict[tuple[str, ...], Counts]:
    """Several sidecars of a service are one edge."""
    found: dict[tuple[str, ...], Counts] = {}
    for one in counts:
        edge = tuple(str(one[name]) for name in ("direction", "source", "destination", "route"))
        held = found.get(edge)
        if held is None:
            found[edge] = dict(one)
            continue
        for name, value in one.items():
            if isinstance(value, int | float):
                held[name] += value
            elif name in {"requests", "buckets"}:
                held[name] = [left + right for left, right in zip(held[name], value, strict=True)]
    return found


def _row(after: Counts, before: Counts | None, seconds: float) -> Row:
    if before is not None and any(sum(after[name]) < sum(before[name]) for name in ("requests", "buckets")):
        before = None

    def gained(name: str) -> float:
        return max(0.0, float(after[name] - (before[name] if before is not None else 0)))

    def gained_all(name: str) -> list[int]:
        return [new - old for new, old in zip(after[name], before[name] if before else [0] * 99, strict=False)]

    requests, buckets = gained_all("requests"), gained_all("buckets")
    total = sum(requests)
    good = total - requests[5] - requests[0]

    def milliseconds(part: float) -> float | None:
        found = quantile(buckets, part)
        return None if found is None else round(found * 1000, 3)

    return Row(
        direction=after["direction"],
        source=after["source"],
        destination=after["destination"],
        route=after["route"],
        requests_per_s=round(total / seconds, 2),
        success_percent=round(100.0 * good / total, 2) if total else None,
        p50_ms=milliseconds(0.5),
        p95_ms=milliseconds(0.95),
        p99_ms=milliseconds(0.99),
        retries_per_s=round(gained("retries") / seconds, 2),
        connections=after["active"],
        connections_per_s=round(gained("connections") / seconds, 2),
        denied=int(gained("denied")),
        bytes_per_s=round((gained("bytes_in") + gained("bytes_out")) / seconds, 1),
    )
