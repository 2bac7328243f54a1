"""The server side of an HTTP/1.1 connection: requests in, one after the other, answers out in order.

Requests that come while one is answered (pipelining) wait as bytes, and beyond a bound the client is not read. What is
refused is answered with its status and ends the connection: nothing after it is looked at.

Source: RFC 9112 sections 2.2, 6.3, 9.3, 9.6; RFC 9110 sections 7.8 (Upgrade), 10.1.1 (Expect). What may change here:
limits.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from meshagent.connect.proxy.http.h1.bodies import Body, Chunked, Sized
from meshagent.connect.proxy.http.h1.heads import MAX_HEAD_BYTES, MAX_TARGET_BYTES, BadMessage, request_head
from meshagent.connect.proxy.http.h1.server_stream import ServerStream
from meshagent.connect.proxy.http.h1.writing import response_bytes
from meshagent.connect.proxy.http.messages import ResponseHead
from meshagent.connect.proxy.http.streams import OnRequest, Peer, Reset, Timer, Timers, Wire

__all__ = ["Http1ServerCodec"]

#: What may wait of later requests before the client is no longer read.
_MAX_WAITING = 64 * 1024
#: A head has to be complete this long after its first byte (nginx: client_header_timeout 60 s; Envoy: none).
HEAD_TIMEOUT_S = 15.0
#: A connection without requests is closed (Envoy: idle_timeout of the HTTP connection manager, 1 h).
IDLE_TIMEOUT_S = 3600.0


class Http1ServerCodec:
    """`ServerCodec` of HTTP/1.1 (and 1.0). `on_refused` is told status and detail of what no exchange ever saw."""

    __slots__ = (
        "_busy",
        "_eof",
        "_idle_since",
        "_idle_timer",
        "_on_refused",
        "_on_request",
        "_slow_timer",
        "_timers",
        "_waiting",
        "closing",
        "draining",
        "paused",
        "stream",
        "wire",
        "write",
    )

    def __init__(
        self, wire: Wire, timers: Timers, on_request: OnRequest, on_refused: Callable[[int, str], None] | None = None
    ) -> None:
        self.wire = wire
        self.write = wire.write
        self._timers = timers
        self._on_request = on_request
        self._on_refused = on_refused
        self.stream: ServerStream | None = None
        #: Bytes that were not understood yet, or belong to later requests.
        self._waiting = b""
        self.paused = False
        self._busy = False
        self._eof = False
        self.closing = False
        self.draining = False
        self._slow_timer: Timer | None = None
        self._idle_since = timers.now()
        self._idle_timer: Timer | None = timers.after(IDLE_TIMEOUT_S, self._check_idle)

    @property
    def peer(self) -> Peer:
        """Who the client is."""
        return self.wire.peer

    @property
    def active(self) -> int:
        return int(self.stream is not None)

    # --- what the wire says ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        waiting = self._waiting
        if waiting:
            data = waiting + data
            self._waiting = b""
        stream = self.stream
        if stream is not None and stream.body is None and not stream.pump:
            self._wait(data)
            return
        self._take(data)

    def eof_received(self) -> None:
        stream = self.stream
        self._eof = True
        if stream is None:
            self._close()
        elif stream.pump:
            stream.handler.on_data(b"", True)
        elif stream.body is not None:
            self.fail(Reset.CONNECTION_LOST)
        else:
            stream.keep = False  # it said all it had to say, and waits for the answer

    def connection_lost(self, why: str) -> None:
        self.closing = True
        self._stop_timers()
        stream, self.stream = self.stream, None
        if stream is not None and not stream.ended:
            stream.handler.on_reset(Reset.CONNECTION_LOST)

    def writing_blocked(self) -> None:
        if self.stream is not None:
            self.stream.handler.on_blocked()

    def writing_resumed(self) -> None:
        if self.stream is not None:
            self.stream.handler.on_writable()

    def drain(self) -> None:
        self.draining = True
        if self.stream is None and not self._waiting:
            self._close()

    # --- requests ----------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Understand as much as can be understood now."""
        if self._busy:  # called from within: the loop below goes on with it
            self._waiting = data
            return
        self._busy = True
        try:
            while data and not self.closing:
                stream = self.stream
                if stream is None:
                    rest = self._next_request(data)
                    if rest is None:
                        return
                    data = rest
                elif stream.pump:
                    stream.handler.on_data(data, False)
                    data = b""
                elif stream.body is not None:
                    data = self._body(stream, data)
                    if stream.body is not None and self.stream is stream:
                        self._waiting = data
                        return
                else:
                    self._wait(data)
                    return
                if self._waiting:
                    data, self._waiting = data + self._waiting, b""
        except BadMessage as error:
            self._refuse(error.status, error.detail)
        finally:
            self._busy = False

    def _next_request(self, data: bytes) -> bytes | None:
        """Begin a request; what follows its head, None when the head is not complete yet."""
        while data.startswith(b"\r\n"):  # RFC 9112 section 2.2: empty lines before a request are skipped
            data = data[2:]
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD_BYTES:
            if len(data) > MAX_HEAD_BYTES:
                raise BadMessage(414 if data.find(b"\n", 0, MAX_TARGET_BYTES) < 0 else 431, "head_too_long")
            if data and not (0x21 <= data[0] <= 0x7E or data == b"\r"):
                raise BadMessage(400, "no_http")
            self._waiting = data
            if data and self._slow_timer is None:
                self._slow_timer = self._timers.after(HEAD_TIMEOUT_S, self._too_slow)
            return None
        if self._slow_timer is not None:
            self._slow_timer.cancel()
            self._slow_timer = None
        head, fields = request_head(data[:end])
        body: Body | None = None
        if fields.chunked:
            body = Chunked()
        elif fields.length:
            body = Sized(fields.length)
        keep = not fields.close and not self.draining and not self._eof
        stream = self.stream = ServerStream(self, body, head.method == b"HEAD", keep, head.version == 10)
        self._on_request(stream, head, body is None and not head.upgrade)
        return data[end + 4 :]

    def _body(self, stream: ServerStream, data: bytes) -> bytes:
        """Give the body in `data` to the handler; what is left over."""
        body = stream.body
        if body is None:
            return data
        pieces, rest = body.feed(data)
        done = body.done
        if done:
            stream.body = None
        handler = stream.handler
        last = len(pieces) - 1
        for at, piece in enumerate(pieces):
            handler.on_data(piece, done and at == last and not body.trailers)
        if done and body.trailers:
            handler.on_trailers(body.trailers)
        elif done and not pieces:
            handler.on_data(b"", True)
        if done and stream.ended and self.stream is stream:
            self.finished()
        return rest

    def finished(self) -> None:
        """The request is answered: the next one, or the end."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        if stream.pump or not stream.keep or self._eof or (self.draining and not self._waiting):
            self._close()
            return
        if self.paused:
            self.paused = False
            self.wire.resume_reading()
        data, self._waiting = self._waiting, b""
        if data:
            self._take(data)
        else:
            self._idle_since = 0.0

    def pump_waiting(self) -> None:
        """The upgrade is accepted: what the client sent already is of the new protocol."""
        data, self._waiting = self._waiting, b""
        if self.paused:
            self.paused = False
            self.wire.resume_reading()
        if data and self.stream is not None:
            self.stream.handler.on_data(data, False)

    def fail(self, why: Reset) -> None:
        """The present request cannot be completed; the connection ends."""
        stream = self.stream
        self.give_up()
        if stream is not None and not stream.ended:
            stream.handler.on_reset(why)

    def give_up(self) -> None:
        """End the connection now."""
        self.stream = None
        self.closing = True
        self._waiting = b""
        self._stop_timers()
        self.wire.abort()

    # --- inside ------------------------------------------------------------------------------------------------

    def _wait(self, data: bytes) -> None:
        self._waiting = data
        if len(data) > _MAX_WAITING and not self.paused:
            self.paused = True
            self.wire.pause_reading()

    def _refuse(self, status: int, detail: str) -> None:
        if self._on_refused is not None:
            self._on_refused(status, detail)
        stream, self.stream = self.stream, None
        self.closing = True
        self._waiting = b""
        if stream is not None and not stream.ended:
            # The head was taken: whoever has it must hear that the rest does not come.
            stream.handler.on_reset(Reset.PROTOCOL_ERROR)
        if stream is None or not stream.answered:
            text = HTTPStatus(status).phrase.encode()
            framing = b"content-length: %d\r\ncontent-type: text/plain\r\nconnection: close\r\n" % len(text)
            self.write(response_bytes(ResponseHead(status, []), framing) + text)
        self._close()

    def _too_slow(self) -> None:
        self._slow_timer = None
        self._refuse(408, "request_headers_timeout")

    def _check_idle(self) -> None:
        """One timer for the life of the connection; a request costs none."""
        self._idle_timer = None
        now = self._timers.now()
        if self.stream is None and not self._waiting:
            if self._idle_since == 0.0:
                self._idle_since = now
            elif now - self._idle_since >= IDLE_TIMEOUT_S / 2:
                self._close()
                return
        else:
            self._idle_since = 0.0
        self._idle_timer = self._timers.after(IDLE_TIMEOUT_S / 2, self._check_idle)

    def _close(self) -> None:
        self.closing = True
        self._stop_timers()
        self.wire.close()

    def _stop_timers(self) -> None:
        for timer in (self._slow_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._slow_timer = self._idle_timer = None
