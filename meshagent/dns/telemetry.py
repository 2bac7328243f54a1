"""What the DNS server counts.

Source: surface row G42 (`dns.domain_query`, `dns.ptr_query`: samples of milliseconds, labelled with the node). A cached
answer is too cheap to be timed by itself: a batch of datagrams is timed, and each query counts with its share.

What may change here: more series. Nothing here is called per cached answer.
"""

from __future__ import annotations

from typing import Protocol

from meshagent.metrics import Labels

__all__ = ["MetricsSink", "SamplerSink", "Telemetry"]


class SamplerSink(Protocol):
    """A series of durations."""

    def sample(self, value_ms: float) -> None:
        """Take one value."""


class MetricsSink(Protocol):
    """The part of `meshagent.metrics.Metrics` used here."""

    def sampler(self, name: str, labels: Labels = ()) -> SamplerSink:
        """The series of that name."""


class Telemetry:
    """Pre-bound series of one server; without metrics it only counts."""

    def __init__(self, metrics: MetricsSink | None, node_name: str) -> None:
        labels = (("node", node_name),)
        self._domain = metrics.sampler("dns.domain_query", labels) if metrics is not None else None
        self._pointer = metrics.sampler("dns.ptr_query", labels) if metrics is not None else None
        many = getattr(self._domain, "sample_many", None)
        self._many = many if callable(many) else None
        self.answered = 0
        """Queries answered since the start."""

    def answers(self, count: int, seconds: float) -> None:
        """`count` queries were answered in `seconds` together."""
        self.answered += count
        if self._domain is None:
            return
        each_ms = seconds * 1000.0 / count
        if self._many is not None:
            self._many(each_ms, count)
        else:
            for _ in range(count):
                self._domain.sample(each_ms)

    def reverse(self, seconds: float) -> None:
        """One reverse look-up was answered."""
        if self._pointer is not None:
            self._pointer.sample(seconds * 1000.0)
