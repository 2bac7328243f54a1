"""The part of `meshagent.metrics.Metrics` that the log uses, and the one that counts nothing.

Source: surface row G42; names are Consul's without the prefix ("raft.apply").
What may be changed: shown names are part of the API.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Labels", "NoMetrics", "RaftMetrics", "entries_took", "heartbeat_took"]

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


def heartbeat_took(metrics: RaftMetrics, node_id: str, began: float | None, now: float) -> None:
    """Server `node_id` answered a sign of life of time `began`, if that is known."""
    if began is not None:
        metrics.sample("raft.replication.heartbeat", (now - began) * 1000, (("peer_id", node_id),))


def entries_took(metrics: RaftMetrics, node_id: str, sent_at: float | None, now: float) -> None:
    """Server `node_id` has entries on its disk that were sent at `sent_at`, if that is known."""
    if sent_at is not None:
        metrics.sample("raft.replication.appendEntries.rpc", (now - sent_at) * 1000, (("peer_id", node_id),))
