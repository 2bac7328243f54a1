"""Metrics as text for Prometheus: a family is a row, its lines come from the series, clusters and certificates of now.

Source: prometheus.io/docs/instrumenting/exposition_formats (text, 0.0.4). What may change here: rows are added; a shown
name or label is part of the API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.series import BOUNDS_S, Series

__all__ = ["CONTENT_TYPE", "FAMILIES", "Family", "Scene", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
#: (suffix of the name, labels, value)
Line = tuple[str, Labels, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is shown. `leaf_left_s` is seconds until the leaf certificate ends, None without one."""

    service: str
    proxy_id: str
    series: tuple[Series, ...] = ()
    clusters: tuple[tuple[str, Cluster], ...] = ()
    tallies: Tallies = field(default_factory=Tallies)
    leaf_left_s: float | None = None
    refused_requests: tuple[tuple[str, int], ...] = ()
    dropped_logs: int = 0
    dropped_spans: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    kind: str
    help: str
    lines: Callable[[Scene], Iterable[Line]]


def _edge(series: Series) -> Labels:
    """An inbound edge without a source is traffic whose peer proved nothing."""
    direction, source, _, route = series.edge
    names = ("direction", "source", "destination", "route")
    shown = zip(names, series.edge, strict=True) if route else zip(names[:3], series.edge[:3], strict=True)
    return (*shown, ("tls", "none" if direction == "inbound" and not source else "mutual"))


def _requests(scene: Scene) -> Iterable[Line]:
    for one in scene.series:
        for digit, count in enumerate(one.requests):
            if count:
                yield "", (*_edge(one), ("class", f"{digit}xx" if digit else "none")), count


def _durations(scene: Scene) -> Iterable[Line]:
    for one in scene.series:
        total = sum(one.buckets)
        if not total:
            continue
        labels, sum_ = _edge(one), 0
        for bound, count in zip(BOUNDS_S, one.buckets, strict=False):
            sum_ += count
            yield "_bucket", (*labels, ("le", repr(bound))), sum_
        yield "_bucket", (*labels, ("le", "+Inf")), total
        yield "_sum", labels, one.seconds
        yield "_count", labels, total


def _of_series(attribute: str) -> Callable[[Scene], Iterable[Line]]:
    def lines(scene: Scene) -> Iterable[Line]:
        for one in scene.series:
            value = getattr(one, attribute)
            if value or attribute == "active":
                yield "", _edge(one), value

    return lines


def _flags(scene: Scene) -> Iterable[Line]:
    for one in scene.series:
        for flag, count in sorted(one.flags.items()):
            yield "", (*_edge(one), ("flag", flag)), count


def _of_clusters(read: Callable[[Cluster], Iterable[tuple[Labels, float]]]) -> Callable[[Scene], Iterable[Line]]:
    def lines(scene: Scene) -> Iterable[Line]:
        for key, cluster in scene.clusters:
            for labels, value in read(cluster):
                yield "", (("upstream", key), ("cluster", cluster.name), *labels), value

    return lines


def _hosts(cluster: Cluster) -> Iterable[tuple[Labels, float]]:
    hosts = cluster.hosts
    yield (("state", "usable"),), sum(host.usable for host in hosts)
    yield (("state", "ejected"),), sum(host.ejected for host in hosts)
    yield (("state", "failing_check"),), sum(not host.check_passes for host in hosts)


def _ejections(cluster: Cluster) -> Iterable[tuple[Labels, float]]:
    outliers = cluster.outliers
    yield (("reason", "consecutive_5xx"),), outliers.ejected_5xx
    yield (("reason", "consecutive_gateway_failure"),), outliers.ejected_gateway
    yield (("reason", "success_rate"),), outliers.ejected_success_rate


def _overflows(cluster: Cluster) -> Iterable[tuple[Labels, float]]:
    breaker = cluster.breaker
    yield (("limit", "connections"),), breaker.connection_overflow
    yield (("limit", "pending"),), breaker.pending_overflow
    yield (("limit", "requests"),), breaker.request_overflow
    yield (("limit", "retries"),), breaker.retry_overflow


def _tally(*names: str) -> Callable[[Scene], Iterable[Line]]:
    return lambda scene: [("", (("outcome", name),), getattr(scene.tallies, name)) for name in names]


def _one(read: Callable[[Scene], float | None]) -> Callable[[Scene], Iterable[Line]]:
    def lines(scene: Scene) -> Iterable[Line]:
        value = read(scene)
        return () if value is None else (("", (), value),)

    return lines


FAMILIES: tuple[Family, ...] = (
    Family("requests_total", "counter", "Requests by edge and class of status.", _requests),
    Family("request_duration_seconds", "histogram", "From a request's head to the end of its answer.", _durations),
    Family("request_retries_total", "counter", "Tries after the first.", _of_series("retries")),
    Family("response_flags_total", "counter", "Requests by Envoy's response flag.", _flags),
    Family("connections_total", "counter", "Connections that were joined.", _of_series("connections")),
    Family("connections_active", "gauge", "Connections that are open.", _of_series("active")),
    Family("connections_failed_total", "counter", "Connections that found nobody behind.", _of_series("failed")),
    Family("denied_total", "counter", "Connections and requests that intentions denied or cut.", _of_series("denied")),
    Family("audited_total", "counter", "Connections and requests only an audit allowed.", _of_series("audited")),
    Family("received_bytes_total", "counter", "Bytes from the client.", _of_series("bytes_in")),
    Family("sent_bytes_total", "counter", "Bytes to the client.", _of_series("bytes_out")),
    Family("upstream_hosts", "gauge", "Instances of an upstream by state.", _of_clusters(_hosts)),
    Family("upstream_ejections_total", "counter", "Ejections of instances.", _of_clusters(_ejections)),
    Family("upstream_overflow_total", "counter", "What a circuit breaker refused.", _of_clusters(_overflows)),
    Family("upstream_connections", "gauge", "Connections towards an upstream.",
           _of_clusters(lambda cluster: [((), cluster.breaker.connections)])),
    Family("tls_handshakes_total", "counter", "TLS: handshakes by what became of them.",
           _tally("accepted", "denied", "refused", "failed_handshakes", "resumed")),
    Family("plain_connections_total", "counter", "Connections without TLS that permissive mode let in.",
           _one(lambda scene: scene.tallies.plain)),
    Family("dials_total", "counter", "Instances dialled.", _tally("dialled", "failed_dials", "unreachable")),
    Family("leaf_expiry_seconds", "gauge", "Until the leaf certificate ends.", _one(lambda scene: scene.leaf_left_s)),
    Family("refused_requests_total", "counter", "What was no HTTP, by reason.",
           lambda scene: [("", (("reason", reason),), count) for reason, count in scene.refused_requests]),
    Family("access_log_dropped_total", "counter", "Lines nobody took.", _one(lambda scene: scene.dropped_logs)),
    Family("spans_dropped_total", "counter", "Spans nobody took.", _one(lambda scene: scene.dropped_spans)),
)  # fmt: skip


def exposition(scenes: Iterable[Scene]) -> bytes:
    """The text of all these sidecars."""
    of = [((("service", scene.service), ("proxy_id", scene.proxy_id)), scene) for scene in scenes]
    out: list[str] = []
    for family in FAMILIES:
        name = f"meshagent_proxy_{family.name}"
        lines = [
            f"{name}{suffix}{{{_labels((*base, *labels))}}} {_number(value)}"
            for base, scene in of
            for suffix, labels, value in family.lines(scene)
        ]
        if lines:
            out.append(f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}")
            out += lines
    return ("\n".join(out) + "\n").encode()


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")
