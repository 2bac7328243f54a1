"""Counters, gauges and samples under Consul's names, in intervals of ten seconds.

Source: surface rows A22, A23, G27, G42; github.com/hashicorp/go-metrics (in-memory and Prometheus sinks) for what the
numbers mean; prometheus.io/docs/instrumenting/exposition_formats for the text. Names here carry no prefix
("kvs.apply"); the prefix ("consul") is joined when a metric is shown.

What may change here: how it is stored. A shown name or field is part of the API. Hot paths hold what `counter` or
`sampler` returned, so that one event costs a few additions: nothing here reads a clock except `measure`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from meshagent.metrics_names import DECLARED
from meshagent.metrics_text import QUANTILES, Labels, empty_family, line, mangle, shown_number, summary_lines

__all__ = [
    "INTERVAL_S",
    "PROMETHEUS_CONTENT_TYPE",
    "PROMETHEUS_DISABLED",
    "Counter",
    "Interval",
    "Labels",
    "Metrics",
    "MetricsSettings",
    "Sampler",
]

Key = tuple[str, Labels]

#: go-metrics' aggregation interval as Consul sets it.
INTERVAL_S = 10
PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: What `agent/metrics?format=prometheus` answers (415) while the retention time is not positive.
PROMETHEUS_DISABLED = "Prometheus is not enabled since its retention time is not positive"
#: Values kept of one series in one interval for the quantiles; Consul estimates them within 1 to 5 %.
_KEPT_VALUES = 1024


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The `telemetry` block as far as it concerns what is kept and shown (surface row G27).

    `hostname` is put into gauge names and is empty with `disable_hostname`.
    `allow` and `block` are prefixes of full names ("consul.raft"); the longest that fits decides.
    """

    prefix: str = "consul"
    hostname: str = ""
    prometheus_retention_s: float = 0.0
    allow: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    filter_default: bool = True


class Interval(NamedTuple):
    """What one finished interval holds, under full names; for sinks. A sampler keeps `values` of its `count`."""

    gauges: list[tuple[str, Labels, float]]
    counters: list[tuple[str, Labels, float]]
    samples: list[tuple[str, Labels, list[float], int]]


class Counter:
    """One counter or the arithmetic of one sampler: this interval's aggregate and the sum since the start."""

    __slots__ = ("count", "high", "labels", "low", "name", "past_count", "past_total", "squares", "total", "touched")

    def __init__(self, name: str, labels: Labels) -> None:
        self.name = name
        self.labels = labels
        self.past_count = 0
        self.past_total = 0.0
        self.touched = -math.inf
        self._reset()

    def _reset(self) -> None:
        self.count = 0
        self.total = 0.0
        self.squares = 0.0
        self.low = math.inf
        self.high = -math.inf

    def incr(self, value: float = 1.0) -> None:
        """Add `value`; counts as one event."""
        self.count += 1
        self.total += value
        self.squares += value * value
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value

    def incr_many(self, value: float, times: int) -> None:
        """Add `value` as `times` events: what was counted elsewhere since the last look."""
        if times > 0:
            self.incr(value)
            self._repeat(value, times - 1)

    def _repeat(self, value: float, times: int) -> None:
        self.count += times
        self.total += value * times
        self.squares += value * value * times

    @property
    def events(self) -> int:
        """How many there were since the start."""
        return self.past_count + self.count

    def close(self, epoch: float) -> None:
        """End the interval that began at `epoch` seconds."""
        if self.count:
            self.touched = epoch
            self.past_count += self.count
            self.past_total += self.total
            self._reset()

    def summary(self) -> dict[str, Any]:
        """The aggregate as the JSON shows it."""
        mean = self.total / self.count
        spread = self.count * self.squares - self.total * self.total
        pairs = self.count * (self.count - 1)
        return {
            "Name": self.name,
            "Count": self.count,
            "Rate": shown_number(self.total / INTERVAL_S),
            "Sum": shown_number(self.total),
            "Min": shown_number(self.low),
            "Max": shown_number(self.high),
            "Mean": shown_number(mean),
            "Stddev": shown_number(math.sqrt(max(0.0, spread) / pairs)) if pairs else 0,
            "Labels": dict(self.labels),
        }


class Sampler(Counter):
    """A counter that also keeps values, for the quantiles of Prometheus."""

    __slots__ = ("_previous", "_values")

    def __init__(self, name: str, labels: Labels) -> None:
        super().__init__(name, labels)
        self._values: list[float] = []
        self._previous: list[float] = []

    def sample(self, value_ms: float) -> None:
        """Take one value, in milliseconds where it is a duration."""
        self.incr(value_ms)
        if len(self._values) < _KEPT_VALUES:
            self._values.append(value_ms)

    def sample_many(self, value_ms: float, times: int) -> None:
        """Take one value `times` times: what a hot path counted since the last look."""
        if times > 0:
            self.sample(value_ms)
            self._repeat(value_ms, times - 1)

    @property
    def kept(self) -> list[float]:
        """The values of this interval, the first of them when there are too many."""
        return self._values

    def close(self, epoch: float) -> None:
        self._previous, self._values = self._values, []
        super().close(epoch)

    def quantiles(self) -> list[tuple[float, float]]:
        """(quantile, value) over this interval and the one before; NaN when nothing was sampled."""
        values = sorted(self._previous + self._values)
        if not values:
            return [(q, math.nan) for q in QUANTILES]
        return [(q, values[min(len(values) - 1, math.ceil(q * len(values)) - 1)]) for q in QUANTILES]


class Metrics:
    """All metrics of one agent.

    `monotonic` serves `measure` only. The daemon calls `tick` at each interval's end; `collect` callbacks set the
    gauges that are read from elsewhere, just before an interval is shown.
    """

    def __init__(
        self, settings: MetricsSettings = MetricsSettings(), monotonic: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.settings = settings
        self._monotonic = monotonic
        self._counters: dict[Key, Counter] = {}
        self._samplers: dict[Key, Sampler] = {}
        #: Counters that nobody holds: they may be forgotten.
        self._passing: set[Key] = set()
        self._gauges: dict[Key, float] = {}
        self._exposed: list[Callable[[], str]] = []
        self._start = 0
        self._finished: dict[str, Any] | None = None
        self._collectors: list[Callable[[Metrics], None]] = []
        self._listeners: list[Callable[[dict[str, Any]], None]] = []
        self._sinks: list[Callable[[Interval], None]] = []

    @property
    def prometheus_enabled(self) -> bool:
        """Whether `prometheus` may be served."""
        return self.settings.prometheus_retention_s > 0

    # -- recording ----------------------------------------------------------------------------------------------

    def counter(self, name: str, labels: Labels = ()) -> Counter:
        """The counter of that name, to keep: `incr()` on it is the cheapest way to count."""
        key = (name, labels)
        self._passing.discard(key)
        return self._counter(key)

    def _counter(self, key: Key) -> Counter:
        found = self._counters.get(key)
        if found is None:
            found = self._counters[key] = Counter(f"{self.settings.prefix}.{key[0]}", key[1])
        return found

    def sampler(self, name: str, labels: Labels = ()) -> Sampler:
        """The sampler of that name, to keep: `sample(ms)` on it."""
        key = (name, labels)
        found = self._samplers.get(key)
        if found is None:
            found = self._samplers[key] = Sampler(f"{self.settings.prefix}.{name}", labels)
        return found

    def incr(self, name: str, value: float = 1.0, labels: Labels = (), times: int = 1) -> None:
        """Count `value` under `name`, `times` times. Labels may be what clients ask for: such counters are forgotten
        once they are shown no more."""
        key = (name, labels)
        if key not in self._counters:
            if times < 1:
                return
            self._passing.add(key)
        self._counter(key).incr_many(value, times)

    def sample(self, name: str, value_ms: float, labels: Labels = ()) -> None:
        """Take one value under `name`."""
        self.sampler(name, labels).sample(value_ms)

    def measure(self, name: str, started: float, labels: Labels = ()) -> None:
        """Sample the milliseconds since monotonic second `started`."""
        self.sampler(name, labels).sample((self._monotonic() - started) * 1000.0)

    def gauge(self, name: str, value: float, labels: Labels = ()) -> None:
        """Set a level. It holds, and is shown, until it is set again: here nothing need repeat it each interval."""
        self._gauges[name, labels] = value

    def move(self, name: str, by: float, labels: Labels = ()) -> None:
        """Raise a level by `by`, from 0 when it is new."""
        self._gauges[name, labels] = self._gauges.get((name, labels), 0.0) + by

    def collect(self, callback: Callable[[Metrics], None]) -> None:
        """Call `callback` before each look, to set gauges that are read from elsewhere."""
        self._collectors.append(callback)

    def expose(self, callback: Callable[[], str]) -> None:
        """Add text of `callback` to the Prometheus text: metrics without our prefix, such as `process_`."""
        self._exposed.append(callback)

    # -- intervals ----------------------------------------------------------------------------------------------

    def tick(self, now: datetime) -> float:
        """End the interval when `now` lies in another one; return the seconds until the next interval begins."""
        epoch = now.timestamp()
        start = int(epoch) - int(epoch) % INTERVAL_S
        if start != self._start:
            if self._start:
                self._close()
            self._start = start
        return start + INTERVAL_S - epoch

    def _close(self) -> None:
        for callback in self._collectors:
            callback(self)
        self._finished = self._summary()
        if self._sinks:
            interval = self._interval()
            for sink in self._sinks:
                sink(interval)
        for counter in self._counters.values():
            counter.close(self._start)
        for sampler in self._samplers.values():
            sampler.close(self._start)
        oldest = self._start - self.settings.prometheus_retention_s
        for key in [key for key in self._passing if self._counters[key].touched < oldest]:
            del self._counters[key]
            self._passing.discard(key)
        for listener in list(self._listeners):
            listener(self._finished)

    def subscribe(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Call `listener` with each finished interval (`agent/metrics/stream`, sinks); returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def send_to(self, sink: Callable[[Interval], None]) -> None:
        """Give each finished interval to `sink`, from the next one on."""
        self._sinks.append(sink)

    def _interval(self) -> Interval:
        gauges = [(self._gauge_name(name), labels, value) for (name, labels), value in sorted(self._gauges.items())]
        return Interval(
            [row for row in gauges if self.allowed(row[0]) and math.isfinite(row[2])],
            [(c.name, c.labels, c.total) for c in self._counters.values() if c.count and self.allowed(c.name)],
            [(s.name, s.labels, s.kept, s.count) for s in self._samplers.values() if s.count and self.allowed(s.name)],
        )

    def display(self, now: datetime) -> dict[str, Any]:
        """The last finished interval, or the current one before the first has ended (surface row A22)."""
        self.tick(now)
        if self._finished is not None:
            return self._finished
        for callback in self._collectors:
            callback(self)
        return self._summary()

    def _summary(self) -> dict[str, Any]:
        stamp = datetime.fromtimestamp(self._start, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
        gauges = [
            {"Name": self._gauge_name(name), "Value": shown_number(value), "Labels": dict(labels)}
            for (name, labels), value in sorted(self._gauges.items())
        ]
        return {
            "Timestamp": stamp,
            "Gauges": [row for row in gauges if self.allowed(str(row["Name"]))],
            "Points": [],
            "Counters": self._summaries(self._counters),
            "Samples": self._summaries(self._samplers),
        }

    def _summaries(self, series: dict[Key, Counter] | dict[Key, Sampler]) -> list[dict[str, Any]]:
        return [s.summary() for _, s in sorted(series.items()) if s.count and self.allowed(s.name)]

    def _gauge_name(self, name: str) -> str:
        host = self.settings.hostname
        return f"{self.settings.prefix}.{host}.{name}" if host else f"{self.settings.prefix}.{name}"

    def allowed(self, full_name: str) -> bool:
        """Whether the prefix filter lets `full_name` ("consul.raft.apply") be shown."""
        verdict, length = self.settings.filter_default, -1
        for prefixes, answer in ((self.settings.allow, True), (self.settings.block, False)):
            for prefix in prefixes:
                if len(prefix) > length and full_name.startswith(prefix):
                    verdict, length = answer, len(prefix)
        return verdict

    # -- Prometheus ---------------------------------------------------------------------------------------------

    def prometheus(self) -> bytes:
        """The exposition text: all declared metrics, all levels, and what was touched within the retention time."""
        for callback in self._collectors:
            callback(self)
        families: dict[str, tuple[str, str, list[str]]] = {}
        for row in DECLARED:
            shown = self._gauge_name(row.name) if row.kind == "gauge" else f"{self.settings.prefix}.{row.name}"
            if self.allowed(shown):
                families[mangle(shown)] = (row.kind, row.help, [])
        oldest = self._start - self.settings.prometheus_retention_s
        for (name, labels), level in sorted(self._gauges.items()):
            shown = self._gauge_name(name)
            if self.allowed(shown):
                _family(families, shown, "gauge").append(line(mangle(shown), labels, level))
        for _, counter in sorted(self._counters.items()):
            if (counter.count or counter.touched >= oldest) and self.allowed(counter.name):
                total = counter.past_total + counter.total
                _family(families, counter.name, "counter").append(line(mangle(counter.name), counter.labels, total))
        for _, sampler in sorted(self._samplers.items()):
            if (sampler.count or sampler.touched >= oldest) and self.allowed(sampler.name):
                _family(families, sampler.name, "summary").extend(
                    summary_lines(
                        sampler.name,
                        sampler.labels,
                        sampler.quantiles(),
                        sampler.past_total + sampler.total,
                        sampler.events,
                    )
                )
        out: list[str] = []
        for name, (kind, text, lines) in sorted(families.items()):
            out.append(f"# HELP {name} {text or name}\n# TYPE {name} {kind}")
            out.extend(lines or empty_family(name, kind))
        out.extend(callback().rstrip("\n") for callback in self._exposed)
        return ("\n".join(out) + "\n").encode()


def _family(families: dict[str, tuple[str, str, list[str]]], shown: str, kind: str) -> list[str]:
    return families.setdefault(mangle(shown), (kind, "", []))[2]
