"""Who is told of every request and connection of a sidecar, and passes on only what somebody wants to hear.

The counts are always kept. A `Record` is made only while there is an access log, a tap, or a sampled trace.

Source: `http/hooks.py` (`Telemetry`), whose promise `ListenerObserver` keeps. What may change here: only with the
bench: `request_finished` is on the path of every request.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshagent.connect import spiffe
from meshagent.connect.proxy.http.grpc import outcome
from meshagent.connect.proxy.telemetry.book import OTHER, Book, path_cell
from meshagent.connect.proxy.telemetry.record import Record
from meshagent.connect.proxy.telemetry.series import Series
from meshagent.connect.proxy.telemetry.taps import Tap
from meshagent.connect.proxy.telemetry.trace_context import begun, child, read, written
from meshagent.errors import RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange
    from meshagent.connect.proxy.http.messages import Headers

__all__ = ["ListenerObserver", "Observer", "service_of"]

_VERSIONS = {10: "HTTP/1.0", 11: "HTTP/1.1", 20: "HTTP/2"}
#: Identities whose service is remembered.
_MAX_IDENTITIES = 4096


class Observer:
    """What all listeners of a sidecar share. `now` is monotonic, `wall` wall time, both in seconds."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float], rng: random.Random) -> None:
        self.now = now
        self.wall = wall
        self.rng = rng
        self.book = Book()
        self.taps: set[Tap] = set()
        self.access_log: Callable[[Record], None] | None = None
        #: Connections that were refused stand in the access log, too (`DisableListenerLogs` says not).
        self.logs_refused = True
        self.export: Callable[[Record], None] | None = None
        self.sampling_percent = 100.0
        #: Somebody wants records of everything.
        self.watched = False
        self._services: dict[str, str] = {}

    def changed(self) -> None:
        """A tap, the access log or the export came or went."""
        self.watched = bool(self.taps) or self.access_log is not None

    def listener(self, direction: str, service: str, name: str) -> ListenerObserver:
        """Whom a listener's manager tells; `name` is the upstream, or the service itself on the inbound side."""
        return ListenerObserver(self, direction, service, name)

    def record(self, record: Record) -> None:
        """Give a record to all who want it."""
        if self.access_log is not None and (self.logs_refused or not record.refused):
            self.access_log(record)
        for tap in self.taps:
            tap.offer(record)
        if record.sampled and self.export is not None and record.trace_id:
            self.export(record)

    def service_of(self, identity: str) -> str:
        """The service behind a SPIFFE id; the id itself when it is no service's."""
        found = self._services.get(identity)
        if found is None:
            if len(self._services) >= _MAX_IDENTITIES:
                self._services.clear()
            found = self._services[identity] = service_of(identity)
        return found


def service_of(identity: str) -> str:
    """The service a SPIFFE id names; the id when it names none, and "(other)" when it cannot be read."""
    if not identity:
        return ""
    try:
        return spiffe.parse(identity).name or identity
    except RemoteProtocolError:
        return OTHER


class ListenerObserver:
    """`Telemetry` of one listener."""

    def __init__(self, observer: Observer, direction: str, service: str, name: str) -> None:
        self._observer = observer
        self._inbound = direction == "inbound"
        self._direction = direction
        self._service = service
        self._name = name
        self._known: dict[tuple[str, Any, str], Series] = {}

    def request_started(self, exchange: Exchange) -> None:
        """A trace is continued, or begun, where traces are exported."""
        observer = self._observer
        if observer.export is None:
            return
        rng = observer.rng
        percent = observer.sampling_percent
        sampled = percent >= 100.0 or rng.random() * 100.0 < percent
        before = read(exchange.head.headers)
        exchange.trace = begun(rng, sampled) if before is None else child(before, rng, sampled)

    def try_started(self, exchange: Exchange, headers: Headers) -> None:
        """The next hop is told who asks."""
        if exchange.trace is not None:
            headers[:] = written(exchange.trace, headers)

    def request_finished(self, exchange: Exchange) -> None:
        """Count, and make a record when one is wanted."""
        observer = self._observer
        route, host = exchange.route, exchange.host
        peer = exchange.peer.identity
        key = (route.name if route is not None else "", host.target if host is not None else "", peer)
        series = self._known.get(key)
        if series is None:
            series = self._made(key, exchange)
        seconds = observer.now() - exchange.started
        status = exchange.status
        if exchange.grpc and status == 200:  # what went wrong stands in the trailers
            status = outcome(exchange.grpc_status)
        series.observe(status, seconds, exchange.request_bytes, exchange.response_bytes)
        if exchange.tries > 1:
            series.retries += exchange.tries - 1
        flag = exchange.flag
        if flag:
            series.flags[flag] = series.flags.get(flag, 0) + 1
        if self._inbound:
            self._count(exchange, series)
        trace = exchange.trace
        if observer.watched or (trace is not None and trace.sampled):
            observer.record(self._record(exchange, series, seconds))

    @staticmethod
    def _count(exchange: Exchange, series: Series) -> None:
        """What only the inbound side knows: who was let in, and to which paths."""
        detail = exchange.detail
        if detail:
            series.audited += detail == "rbac_audited"
            series.denied += detail.startswith("rbac_access_denied")
        if exchange.host is not None:  # a path that nobody was let through to is no use that a rule must allow
            head = exchange.head
            cell = series.cells.get((head.method, head.path))
            if cell is None:
                cell = path_cell(series, head.method, head.path)
            cell[0] += 1

    def _made(self, key: tuple[str, Any, str], exchange: Exchange) -> Series:
        route, _, peer = key
        host: Any = exchange.host
        if self._inbound:
            source, destination = exchange.identity or self._observer.service_of(peer), self._name
        else:
            row = getattr(host, "cluster", None)
            source, destination = self._service, self._name
            if row is not None:
                subset = row.target.subset
                destination = f"{subset}.{row.target.service}" if subset else row.target.service
        series = self._observer.book.series(self._direction, source, destination, route)
        if len(self._known) < _MAX_IDENTITIES:
            self._known[key] = series
        return series

    def _record(self, exchange: Exchange, series: Series, seconds: float) -> Record:
        head, host, peer, trace = exchange.head, exchange.host, exchange.peer, exchange.trace
        response = exchange.response
        _, source, destination, route = series.edge
        answered = exchange.answered
        return Record(
            direction=self._direction,
            source=source,
            destination=destination,
            route=route,
            started=self._observer.wall() - seconds,
            duration_s=seconds,
            status=exchange.status,
            flags=exchange.flag,
            detail=exchange.detail or ("via_upstream" if exchange.status else ""),
            method=head.method.decode("latin-1"),
            path=head.path.decode("latin-1"),
            authority=head.authority.decode("latin-1"),
            scheme=head.scheme.decode("latin-1"),
            protocol=_VERSIONS.get(head.version, ""),
            bytes_in=exchange.request_bytes,
            bytes_out=exchange.response_bytes,
            first_byte_s=answered - exchange.started if answered else -1.0,
            tries=exchange.tries,
            upstream=host.key if host is not None else "",
            cluster=host.target if host is not None else "",
            peer_address=peer.address,
            peer_identity=peer.identity,
            local_identity=peer.local_identity,
            grpc_status=exchange.grpc_status,
            trace_id=trace.trace_id if trace is not None else "",
            span_id=trace.span_id if trace is not None else "",
            parent_id=trace.parent_id if trace is not None else "",
            sampled=trace is not None and bool(trace.sampled),
            request_headers=head.headers,
            response_headers=response.headers if response is not None else [],
            trailers=exchange.trailers,
        )
