"""What is counted and told of connections at layer 4: a listener says when one is joined, ends, or comes to nothing.

Source: Envoy's TCP proxy, for what a line of its access log says. What may change here: only with the bench: a
connection costs two calls.
"""

from __future__ import annotations

from meshagent.connect.proxy.telemetry.observer import Observer
from meshagent.connect.proxy.telemetry.record import Record
from meshagent.connect.proxy.telemetry.series import Series

__all__ = ["Connection", "Connections"]


class Connection:
    """One that is open."""

    __slots__ = ("peer_address", "peer_identity", "series", "started", "target", "tls", "upstream")

    def __init__(
        self, series: Series, started: float, peer_identity: str, upstream: str, target: str, tls: str = "mutual"
    ) -> None:
        self.series = series
        self.started = started
        self.peer_identity = peer_identity
        #: Whom the one who dialled says it is for, "ip:port"; "" when he says nothing.
        self.peer_address = ""
        self.upstream = upstream
        self.target = target
        #: "mutual", or "none" where nobody had to prove anything.
        self.tls = tls


class Connections:
    """Those of one listener. `name` is the upstream; on the inbound side whom it speaks for."""

    def __init__(self, observer: Observer, direction: str, service: str, name: str) -> None:
        self._observer = observer
        self._direction = direction
        self._service = service
        self._name = name

    def series(self, identity: str = "") -> Series:
        """The counts of the edge: inbound by the peer's identity."""
        if self._direction == "inbound":
            source, destination = self._observer.service_of(identity), self._name
        else:
            source, destination = self._service, self._name
        return self._observer.book.series(self._direction, source, destination)

    def joined(
        self, identity: str = "", upstream: str = "", target: str = "", *, audited: bool = False, tls: bool = True
    ) -> Connection:
        """A connection is let in (inbound; `audited` when a deny would have stopped it) or has found an instance
        (outbound)."""
        series = self.series(identity)
        series.audited += audited
        series.connections += 1
        series.active += 1
        return Connection(series, self._observer.now(), identity, upstream, target, "mutual" if tls else "none")

    def ended(self, connection: Connection, bytes_in: int, bytes_out: int, why: str) -> None:
        """It is over; bytes are those from and to the one who dialled."""
        series = connection.series
        series.active -= 1
        series.bytes_in += bytes_in
        series.bytes_out += bytes_out
        if self._observer.watched:
            self._tell(series, connection, bytes_in, bytes_out, why)

    def failed(self, identity: str = "", why: str = "") -> None:
        """It found no instance, or no application."""
        series = self.series(identity)
        series.failed += 1
        if self._observer.watched:
            self._tell(series, Connection(series, self._observer.now(), identity, "", ""), 0, 0, why, "UF")

    def denied(self, identity: str) -> None:
        """Intentions do not allow it; an identity nobody knows is counted with others."""
        self.series(identity).denied += 1

    def refused(self, address: str, identity: str, why: str) -> None:
        """It ended before it was anybody's: no TLS, no proof, no permission. `address` is the peer's "ip:port"."""
        observer = self._observer
        if observer.watched:
            record = Record(
                self._direction, observer.service_of(identity), self._name, "", observer.wall(), 0.0, detail=why
            )  # fmt: skip
            record.peer_address, record.peer_identity, record.refused = address, identity, True
            observer.record(record)

    def _tell(
        self, series: Series, connection: Connection, bytes_in: int, bytes_out: int, why: str, flags: str = ""
    ) -> None:
        seconds = self._observer.now() - connection.started
        direction, source, destination, _ = series.edge
        self._observer.record(
            Record(
                direction,
                source,
                destination,
                "",
                self._observer.wall() - seconds,
                seconds,
                flags=flags,
                detail=f"tls=none {why}".rstrip() if connection.tls == "none" else why,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                upstream=connection.upstream,
                cluster=connection.target,
                peer_address=connection.peer_address,
                peer_identity=connection.peer_identity,
                tls=connection.tls,
            )
        )
