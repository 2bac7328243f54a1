"""The client side of an HTTP/1.1 connection: one request at a time, kept open between them.

A server is believed as little as a client: an answer that is framed in two ways, bytes that nobody asked for, a body
that ends early end the connection and the request, and nothing of it reaches another request.

Source: RFC 9112 sections 4, 6.3, 9.3 to 9.5; RFC 9110 sections 7.8, 15.2. What may change here: limits.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.connect.proxy.http.h1.bodies import Body, Chunked, Sized, UntilEnd
from meshagent.connect.proxy.http.h1.heads import MAX_HEAD_BYTES, BadMessage, response_head
from meshagent.connect.proxy.http.h1.writing import LAST_CHUNK, chunk, last_chunk, request_bytes
from meshagent.connect.proxy.http.messages import Headers, RequestHead
from meshagent.connect.proxy.http.streams import Reset, Timers, UpstreamHandler, Wire
from meshagent.errors import LocalProtocolError

__all__ = ["Http1ClientCodec"]

#: What may come of a new protocol before the server has taken it; its sender is stopped at the first byte.
_MAX_EARLY_BYTES = 512 * 1024
#: Informational answers to one request; more are an attack.
_MAX_INFORMATIONAL = 16


class _Stream:
    """One request with its answer (`UpstreamStream`)."""

    __slots__ = (
        "_chunked",
        "_codec",
        "_early",
        "_early_end",
        "_left",
        "body",
        "done",
        "handler",
        "heard",
        "informational",
        "no_body",
        "pump",
        "upgrade",
    )

    def __init__(self, codec: Http1ClientCodec, head: RequestHead, end: bool, handler: UpstreamHandler) -> None:
        self._codec = codec
        self.handler = handler
        #: The request is sent completely.
        self.done = end
        self._left = -1 if head.length is None else head.length
        self._chunked = head.length is None and not end and not head.upgrade
        self.no_body = head.method == b"HEAD"
        self.upgrade = bool(head.upgrade)
        #: The server switched: bytes both ways. What came for it before is kept: to a server that does not switch it
        #: would be another request, which nobody has decided about.
        self.pump = False
        self._early = b""
        self._early_end = False
        #: What is to come of the answer, once its head was read.
        self.body: Body | None = None
        #: Any byte of the answer has come.
        self.heard = False
        self.informational = 0

    def send_data(self, data: bytes, end: bool) -> None:
        codec = self._codec
        if codec.stream is not self or self.done:
            return
        if self.upgrade and not self.pump:
            self._keep_early(data, end)
            return
        if self._left >= 0 and not self.upgrade:
            if len(data) > self._left or (end and len(data) < self._left):
                codec.fail(Reset.LOCAL)
                return
            self._left -= len(data)
        if data:
            codec.write(chunk(data) if self._chunked else data)
        if end:
            if self._chunked:
                codec.write(LAST_CHUNK)
            elif self.upgrade:
                codec.wire.write_eof()
            self.done = True

    def _keep_early(self, data: bytes, end: bool) -> None:
        self._early += data
        self._early_end = self._early_end or end
        if len(self._early) > _MAX_EARLY_BYTES:
            self._codec.fail(Reset.LOCAL)
        else:
            self.handler.on_blocked()

    def switched(self) -> None:
        """The server takes the new protocol: what was kept for it is sent."""
        early, self._early = self._early, b""
        if early or self._early_end:
            self.send_data(early, self._early_end)
            self.handler.on_writable()

    def send_trailers(self, trailers: Headers) -> None:
        codec = self._codec
        if codec.stream is not self or self.done:
            return
        if not self._chunked:
            self.send_data(b"", True)
            return
        try:
            codec.write(last_chunk(trailers))
        except LocalProtocolError:
            codec.fail(Reset.PROTOCOL_ERROR)
            return
        self.done = True

    def reset(self, why: Reset) -> None:
        codec = self._codec
        if codec.stream is self:
            codec.give_up()

    def pause_reading(self) -> None:
        if self._codec.stream is self:
            self._codec.paused = True
            self._codec.wire.pause_reading()

    def resume_reading(self) -> None:
        if self._codec.stream is self:
            self._codec.paused = False
            self._codec.wire.resume_reading()


class Http1ClientCodec:
    """`ClientCodec` of HTTP/1.1."""

    __slots__ = ("_keep", "_waiting", "closed", "on_change", "opened", "paused", "stream", "wire", "write")

    def __init__(self, wire: Wire, timers: Timers) -> None:
        self.wire = wire
        self.write = wire.write
        self.stream: _Stream | None = None
        self.opened = 0
        self.closed = False
        self.paused = False
        self.on_change: Callable[[], None] = _nothing
        self._waiting = b""
        self._keep = True

    @property
    def capacity(self) -> int:
        return int(self.stream is None and not self.closed)

    @property
    def active(self) -> int:
        return int(self.stream is not None)

    def open_stream(self, head: RequestHead, end: bool, handler: UpstreamHandler) -> _Stream:
        stream = _Stream(self, head, end, handler)
        self.opened += 1
        self.stream = stream
        try:
            self.write(request_bytes(head, end))
        except LocalProtocolError:
            self.fail(Reset.PROTOCOL_ERROR)
        return stream

    # --- what the wire says ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            data = self._waiting + data
            self._waiting = b""
        try:
            while data and not self.closed:
                stream = self.stream
                if stream is None:
                    self.give_up()  # nobody asked
                    return
                stream.heard = True
                if stream.pump:
                    stream.handler.on_data(data, False)
                    return
                if stream.body is not None:
                    data = self._body(stream, stream.body, data)
                    if self.stream is stream:
                        self._waiting = data
                        return
                else:
                    rest = self._head(stream, data)
                    if rest is None:
                        self._waiting = data
                        return
                    data = rest
        except BadMessage:
            self.fail(Reset.PROTOCOL_ERROR)

    def eof_received(self) -> None:
        stream = self.stream
        if stream is not None and stream.pump:
            self.closed = True
            stream.handler.on_data(b"", True)
            return
        if stream is not None and isinstance(stream.body, UntilEnd):
            self.closed = True
            self.stream = None
            stream.handler.on_data(b"", True)
            self.wire.close()
            self.on_change()
            return
        self.fail(Reset.CONNECTION_LOST)

    def connection_lost(self, why: str) -> None:
        self.fail(Reset.CONNECTION_LOST)

    def writing_blocked(self) -> None:
        if self.stream is not None:
            self.stream.handler.on_blocked()

    def writing_resumed(self) -> None:
        stream = self.stream
        if stream is not None and (stream.pump or not stream.upgrade):
            stream.handler.on_writable()

    def drain(self) -> None:
        self._keep = False
        if self.stream is None:
            self.give_up()

    # --- answers -----------------------------------------------------------------------------------------------

    def _head(self, stream: _Stream, data: bytes) -> bytes | None:
        """Read a head; what follows it, None when it is not complete yet."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD_BYTES:
            if len(data) > MAX_HEAD_BYTES:
                raise BadMessage(502, "head_too_long")
            if not b"HTTP/1.".startswith(data[:7]):
                raise BadMessage(502, "no_http")
            return None
        head, fields = response_head(data[:end])
        rest = data[end + 4 :]
        status = head.status
        if status < 200 and status != 101:
            stream.informational += 1
            if stream.informational > _MAX_INFORMATIONAL or status < 100:
                raise BadMessage(502, "too_many_informational_answers")
            stream.handler.on_informational(head)
            return rest
        if status == 101:
            if not stream.upgrade or fields.upgrade != b"websocket":
                raise BadMessage(502, "nobody_asked_to_switch")
            stream.pump = True
            self._keep = False
            stream.handler.on_head(head, False)
            stream.switched()
            return rest
        if fields.close:
            self._keep = False
        if stream.no_body or status in {204, 304}:
            body: Body | None = None
        elif fields.chunked:
            body = Chunked()
        elif fields.length is not None:
            body = Sized(fields.length)
            if body.done:
                body = None
        else:
            self._keep = False
            body = UntilEnd()
        if body is None:
            self._complete(stream, follows=bool(rest))
            stream.handler.on_head(head, True)
        else:
            stream.body = body
            stream.handler.on_head(head, False)
        return rest

    def _body(self, stream: _Stream, body: Body, data: bytes) -> bytes:
        """Give the body in `data` to the handler; what is left over."""
        pieces, rest = body.feed(data)
        handler = stream.handler
        done = body.done
        if done:
            self._complete(stream, follows=bool(rest))
        last = len(pieces) - 1
        trailers = body.trailers
        for at, piece in enumerate(pieces):
            handler.on_data(piece, done and at == last and not trailers)
        if done and trailers:
            handler.on_trailers(trailers)
        elif done and not pieces:
            handler.on_data(b"", True)
        return rest

    def _complete(self, stream: _Stream, follows: bool) -> None:
        """The answer has been read. The connection is free before its handler hears of the end; with bytes that
        nobody asked for behind it, it is not used again."""
        if self.stream is not stream:
            return
        self.stream = None
        if self.paused:
            self.paused = False
            self.wire.resume_reading()
        if not self._keep or not stream.done or follows:
            self.closed = True
            self.wire.close()
        self.on_change()

    def fail(self, why: Reset) -> None:
        """What is open will not be completed; the connection ends."""
        stream = self.stream
        self.give_up()
        if stream is not None:
            stale = why is Reset.CONNECTION_LOST and not stream.heard and self.opened > 1
            stream.handler.on_reset(Reset.STALE if stale else why)

    def give_up(self) -> None:
        """End the connection now."""
        if self.closed and self.stream is None:
            return
        self.closed = True
        self.stream = None
        self._waiting = b""
        self.wire.abort()
        self.on_change()


def _nothing() -> None:
    pass
