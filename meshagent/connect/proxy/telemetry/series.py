"""Counts of one edge of traffic: requests by status and time, connections, bytes. Plain attributes, for the hot path.

One request costs a handful of additions and one bisection; names and labels are put to numbers when somebody looks.

Source: the "golden signals" of Google's SRE book, chapter 6 (latency, traffic, errors, saturation); prometheus.io,
"Histograms and summaries". What may change here: only with the bench.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

__all__ = ["BOUNDS_S", "Edge", "Series"]

#: Upper bounds of latency buckets in seconds; the last bucket has none. Fine where a mesh works, for p99 of `top`.
BOUNDS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.04, 0.065, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
)  # fmt: skip

#: (direction, source, destination, route): who speaks to whom, as whom a person knows them.
Edge = tuple[str, str, str, str]


class Series:
    """The counts of one edge since the start."""

    __slots__ = (
        "active",
        "audited",
        "buckets",
        "bytes_in",
        "bytes_out",
        "cells",
        "connections",
        "denied",
        "edge",
        "failed",
        "flags",
        "paths",
        "requests",
        "retries",
        "seconds",
    )

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        #: By first digit of the status; 0 is no answer (the client went away).
        self.requests = [0, 0, 0, 0, 0, 0]
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0
        self.retries = 0
        #: Envoy's response flags: how often.
        self.flags: dict[str, int] = {}
        #: (method, first part of the path): a list of how often; bounded by who counts.
        self.paths: dict[tuple[str, str], list[int]] = {}
        #: The same lists by method and path as they came, so that a path that is asked for again costs one look.
        self.cells: dict[tuple[bytes, bytes], list[int]] = {}
        #: Connections: opened, open now, those that could not be joined, those that were denied or cut, and those
        #: that only an audit let in.
        self.connections = 0
        self.audited = 0
        self.active = 0
        self.failed = 0
        self.denied = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def observe(self, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """A request has ended."""
        self.requests[status // 100 if status < 600 else 0] += 1
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out

    def shown(self) -> dict[str, Any]:
        """As the admin socket tells it."""
        direction, source, destination, route = self.edge
        return {
            "direction": direction,
            "source": source,
            "destination": destination,
            "route": route,
            "requests": self.requests,
            "buckets": self.buckets,
            "seconds": round(self.seconds, 6),
            "retries": self.retries,
            "flags": self.flags,
            "paths": [[method, path, count] for (method, path), (count,) in self.paths.items()],
            "connections": self.connections,
            "active": self.active,
            "failed": self.failed,
            "denied": self.denied,
            "audited": self.audited,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }
