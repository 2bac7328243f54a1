"""HTTP/2 codecs without sockets: a wire that keeps what is written, handlers that remember, two codecs joined, and the
h2 library as a peer that can also do wrong.

Used by tests/connect/proxy/http2. What may change here: further peers.
"""

from __future__ import annotations

from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event

from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import DownstreamStream, Peer, Reset
from meshagent.connect.proxy.http.timers import TimerWheel
from meshagent.connect.proxy.http2.client import Http2ClientCodec
from meshagent.connect.proxy.http2.server import Http2ServerCodec
from meshtest.http7 import Now

__all__ = ["Answer", "H2Peer", "Pair", "Pipe", "Request", "ServerSide", "head"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def head(path: bytes = b"/", method: bytes = b"GET", headers: Headers | None = None) -> RequestHead:
    return RequestHead(method, b"http", b"api", path, list(headers or []))


class Pipe:
    """A `Wire` whose other end is the test."""

    def __init__(self) -> None:
        self.peer = Peer("192.0.2.7:1234")
        self.sent = bytearray()
        self.deferred: list[Callable[[], None]] = []
        self.closed = False
        self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        self.sent += data

    def defer(self, flush: Callable[[], None]) -> None:
        self.deferred.append(flush)

    def write_eof(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def take(self) -> bytes:
        """The turn of the loop ends: what was written since."""
        while self.deferred:
            deferred, self.deferred = self.deferred, []
            for flush in deferred:
                flush()
        data = bytes(self.sent)
        self.sent.clear()
        return data


class Heard:
    """What a handler is told of a message."""

    def __init__(self) -> None:
        self.body = b""
        self.trailers: Headers | None = None
        self.ended = False
        self.was_reset: Reset | None = None
        self.blocked = False
        self.calls: list[str] = []

    def on_data(self, data: bytes, end: bool) -> None:
        self._goes_on("data")
        self.body += data
        self.ended = end

    def on_trailers(self, trailers: Headers) -> None:
        self._goes_on("trailers")
        self.trailers, self.ended = trailers, True

    def on_reset(self, why: Reset) -> None:
        assert self.was_reset is None
        self.calls.append("reset")
        self.was_reset = why

    def on_blocked(self) -> None:
        assert not self.blocked
        self.blocked = True
        self.calls.append("blocked")

    def on_writable(self) -> None:
        assert self.blocked
        self.blocked = False
        self.calls.append("writable")

    def _goes_on(self, what: str) -> None:
        assert not self.ended
        assert self.was_reset is None
        self.calls.append(what)


class Answer(Heard):
    """An `UpstreamHandler`."""

    def __init__(self) -> None:
        super().__init__()
        self.informational: list[ResponseHead] = []
        self.head: ResponseHead | None = None

    @property
    def status(self) -> int:
        return self.head.status if self.head is not None else 0

    def on_informational(self, head: ResponseHead) -> None:
        assert self.head is None
        self.informational.append(head)

    def on_head(self, head: ResponseHead, end: bool) -> None:
        assert self.head is None
        self._goes_on("head")
        self.head, self.ended = head, end


class Request(Heard):
    """A `DownstreamHandler` with its stream."""

    def __init__(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        super().__init__()
        self.stream, self.head, self.ended = stream, head, end

    def answer(self, status: int = 200, body: bytes = b"", headers: Headers | None = None) -> None:
        self.stream.send_head(ResponseHead(status, list(headers or [])), not body)
        if body:
            self.stream.send_data(body, True)


class ServerSide:
    """An `Http2ServerCodec` whose requests the test answers."""

    def __init__(self) -> None:
        self.now = Now()
        self.timers = TimerWheel(self.now)
        self.wire = Pipe()
        self.requests: list[Request] = []
        self.violations: list[str] = []
        #: Called with each request as it comes.
        self.on_request: Callable[[Request], None] = lambda request: None
        self.codec = Http2ServerCodec(self.wire, self.timers, self._request, self.violations.append)

    def _request(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        request = Request(stream, head, end)
        stream.handler = request
        self.requests.append(request)
        self.on_request(request)

    def pass_time(self, seconds: float) -> None:
        self.now.time += seconds
        self.timers.advance()


class Pair(ServerSide):
    """A client codec of ours joined to a server codec of ours; bytes arrive in pieces of `step`."""

    def __init__(self, step: int = 1 << 20) -> None:
        super().__init__()
        self.step = step
        self.client_wire = Pipe()
        self.client = Http2ClientCodec(self.client_wire, self.timers, self.violations.append)
        self.pump()

    def pump(self) -> None:
        """Carry bytes both ways until nothing moves."""
        moved = True
        while moved:
            moved = False
            for wire, codec in ((self.client_wire, self.codec), (self.wire, self.client)):
                data = wire.take()
                moved = moved or bool(data)
                for at in range(0, len(data), self.step):
                    codec.data_received(data[at : at + self.step])
            for wire, codec in ((self.client_wire, self.codec), (self.wire, self.client)):
                if wire.closed and not wire.sent and not codec.gone:
                    codec.eof_received()

    def ask(self, request: RequestHead | None = None, end: bool = True) -> tuple[Answer, object]:
        answer = Answer()
        stream = self.client.open_stream(request or head(), end, answer)
        return answer, stream


class H2Peer(ServerSide):
    """The h2 library as client of our server codec."""

    def __init__(self, **config: bool) -> None:
        super().__init__()
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None, **config))
        self.events: list[Event] = []
        self.h2.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until nothing moves."""
        while True:
            out = self.h2.data_to_send()
            if out:
                self.codec.data_received(out)
            back = self.wire.take()
            if back:
                self.events += self.h2.receive_data(back)
            if not out and not back:
                return

    def raw(self, data: bytes) -> None:
        """Send bytes that the library would not."""
        self.codec.data_received(data)
        self.exchange()

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]
