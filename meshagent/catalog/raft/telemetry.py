"""The part of `meshagent.metrics.Metrics` that the log uses, and the one that counts nothing.

Source: surface row G42; names are Consul's without the prefix ("raft.apply").
What may be changed: shown names are part of the API.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Labels", "NoMetrics", "RaftMetrics"]

Labels = tuple[tuple[str, str], ...]


class RaftMetrics(Protocol):
    def incr(self, name: str, value: float = 1.0, labels: Labels = ()) -> None: ...
    def gauge(self, name: str, value: float) -> None: ...
    def sample(self, name: str, value_ms: float, labels: Labels = ()) -> None: ...


class NoMetrics:
    def incr(self, name: str, value: float = 1.0, labels: Labels = ()) -> None:
        return

    def gauge(self, name: str, value: float) -> None:
        return

    def sample(self, name: str, value_ms: float, labels: Labels = ()) -> None:
        return
