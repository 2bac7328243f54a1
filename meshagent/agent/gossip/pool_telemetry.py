"""What one pool counts, into the metrics under Consul's names.

Source: surface row G42; serf's metrics. The machines count in plain dictionaries, which costs them nothing; here the
difference since the last look is added. `serf.dropped` is ours: messages that were refused, by reason. What may change
here: rows may be added; shown names never change.
"""

from __future__ import annotations

import math
from collections import Counter

from meshagent.agent.gossip.serf import Serf
from meshagent.metrics import Labels, Metrics

__all__ = ["PoolTelemetry"]

#: serf samples the lengths of its queues so often.
_SAMPLE_S = 30.0
#: Events counted under their own names; others choose those, so there is an end.
_NAMED_EVENTS = 256
_DROPPED = "dropped."


class PoolTelemetry:
    """The metrics of one pool."""

    def __init__(self, serf: Serf, metrics: Metrics, labels: Labels) -> None:
        self._serf = serf
        self._metrics = metrics
        self._labels = labels
        self._published: Counter[str] = Counter()
        self._events: set[str] = set()
        self._sampled = -math.inf

    def event(self, name: str) -> None:
        """A user event was taken."""
        if name in self._events or len(self._events) < _NAMED_EVENTS:
            self._events.add(name)
            self._metrics.counter(f"serf.events.{name}", self._labels).incr()

    def publish(self, now: float) -> None:
        """Add what was counted since the last time; sample levels now and then."""
        counts = self._serf.counts
        for name, count in counts.items():
            more = count - self._published[name]
            if more <= 0:
                continue
            if name.startswith(_DROPPED):
                labels = (*self._labels, ("reason", name.removeprefix(_DROPPED)))
                self._metrics.counter("serf.dropped", labels).incr_many(1, more)
            else:
                self._metrics.counter(name, self._labels).incr_many(1, more)
        self._published = counts
        if now - self._sampled >= _SAMPLE_S:
            self._sampled = now
            self._sample()

    def _sample(self) -> None:
        outbox, labels = self._serf.outbox, self._labels
        self._metrics.sample("serf.queue.Intent", len(outbox.intents), labels)
        self._metrics.sample("serf.queue.Query", len(outbox.queries), labels)
        self._metrics.sample("serf.queue.Event", len(outbox.events), labels)
        adjustment_ms = self._serf.placing.vivaldi.coordinate.adjustment * 1000
        self._metrics.sample("serf.coordinate.adjustment-ms", adjustment_ms, labels)
