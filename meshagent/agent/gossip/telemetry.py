"""What gossip counts, under Consul's names.

Source: surface row G42; developer.hashicorp.com/consul/docs/agent/monitor/telemetry (memberlist). The hot ones are
looked up once. `memberlist.dropped` is ours: what was refused, by reason (`drops.Drop`). What may change here: rows
are added; a shown name is never renamed. Each is declared in `meshagent/metrics_names.py` too.
"""

from __future__ import annotations

from meshagent.agent.gossip.drops import Drop
from meshagent.metrics import Counter, Labels, Metrics

__all__ = ["Telemetry"]


class Telemetry:
    """The counters of one pool; `labels` tells pools apart (Consul: `network` = lan, wan)."""

    def __init__(self, metrics: Metrics, labels: Labels = ()) -> None:
        self.metrics = metrics
        self.labels = labels
        self.alive = metrics.counter("memberlist.msg.alive", labels)
        self.suspect = metrics.counter("memberlist.msg.suspect", labels)
        self.dead = metrics.counter("memberlist.msg.dead", labels)
        self.udp_received = metrics.counter("memberlist.udp.received", labels)
        self.udp_sent = metrics.counter("memberlist.udp.sent", labels)
        self.tcp_accept = metrics.counter("memberlist.tcp.accept", labels)
        self.tcp_connect = metrics.counter("memberlist.tcp.connect", labels)
        self.tcp_sent = metrics.counter("memberlist.tcp.sent", labels)
        self.degraded_probe = metrics.counter("memberlist.degraded.probe", labels)
        self.degraded_timeout = metrics.counter("memberlist.degraded.timeout", labels)
        self._dropped: dict[Drop, Counter] = {}

    def dropped(self, drop: Drop, times: int = 1) -> None:
        counter = self._dropped.get(drop)
        if counter is None:
            counter = self.metrics.counter("memberlist.dropped", (*self.labels, ("reason", drop.value)))
            self._dropped[drop] = counter
        counter.incr_many(1, times)

    def health(self, score: int) -> None:
        self.metrics.gauge("memberlist.health.score", score, self.labels)

    def queue(self, waiting: int) -> None:
        """How many broadcasts wait, once a gossip round."""
        self.metrics.sample("memberlist.queue.broadcasts", waiting, self.labels)

    def size(self, side: str, user_state: bytes) -> None:
        """Of a push/pull's user state; `side` is local or remote."""
        self.metrics.sample(f"memberlist.size.{side}", len(user_state), self.labels)

    def gossiped(self, began: float) -> None:
        """A round of gossip that began at monotonic second `began` is done."""
        self.metrics.measure("memberlist.gossip", began, self.labels)

    def took(self, what: str, seconds: float) -> None:
        """`what` is probeNode or pushPullNode."""
        self.metrics.sample(f"memberlist.{what}", seconds * 1000, self.labels)
