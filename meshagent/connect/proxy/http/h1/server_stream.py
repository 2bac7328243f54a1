"""One request of an HTTP/1.1 client with its answer: how the answer is framed, and when it is complete.

Source: RFC 9112 sections 6.3, 7.1; RFC 9110 sections 9.3.2, 15.3.5, 15.4.5 (answers without a body). What may change
here: nothing without `server.py`, whose part it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.connect.proxy.http.h1.writing import LAST_CHUNK, chunk, last_chunk, response_bytes
from meshagent.connect.proxy.http.streams import Reset
from meshagent.errors import LocalProtocolError

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.h1.bodies import Body
    from meshagent.connect.proxy.http.h1.server import Http1ServerCodec
    from meshagent.connect.proxy.http.messages import Headers, ResponseHead
    from meshagent.connect.proxy.http.streams import DownstreamHandler

__all__ = ["NOBODY", "ServerStream"]


class _Nobody:
    """Hears what nobody wants to hear any more."""

    def on_data(self, data: bytes, end: bool) -> None: ...
    def on_trailers(self, trailers: Headers) -> None: ...
    def on_reset(self, why: Reset) -> None: ...
    def on_blocked(self) -> None: ...
    def on_writable(self) -> None: ...


NOBODY = _Nobody()


class ServerStream:
    """One request with its answer (`DownstreamStream`)."""

    __slots__ = (
        "_chunked",
        "_codec",
        "_head_only",
        "_left",
        "answered",
        "body",
        "ended",
        "handler",
        "keep",
        "old",
        "peer",
        "pump",
    )

    def __init__(self, codec: Http1ServerCodec, body: Body | None, head_only: bool, keep: bool, old: bool) -> None:
        self._codec = codec
        self.handler: DownstreamHandler = NOBODY
        self.peer = codec.wire.peer
        #: What is to come of the request; None when it is complete.
        self.body = body
        #: The answer to HEAD has no body, whatever its head says; a client of HTTP/1.0 knows no chunks.
        self._head_only = head_only
        self.old = old
        self.keep = keep
        #: The upgrade was accepted: bytes both ways.
        self.pump = False
        #: The answer's head was sent; the answer is complete.
        self.answered = False
        self.ended = False
        self._chunked = False
        #: Announced bytes that were not sent yet; -1: as many as come; -2: none may come.
        self._left = -1

    def send_informational(self, head: ResponseHead) -> None:
        if self._codec.stream is self and not self.old:
            self._codec.write(response_bytes(head, b""))

    def send_head(self, head: ResponseHead, end: bool) -> None:
        codec = self._codec
        if codec.stream is not self:
            return
        status = head.status
        length = head.length
        if status == 101:
            self.pump = True
            framing = b"connection: upgrade\r\nupgrade: websocket\r\n"
        elif self._head_only or status in {204, 304}:
            self._left = -2
            framing = b"content-length: %d\r\n" % length if length is not None and status != 204 else b""
        elif length is not None:
            self._left = length
            framing = b"content-length: %d\r\n" % length
        elif end:
            self._left = 0
            framing = b"content-length: 0\r\n"
        elif self.old:
            self.keep = False
            framing = b""
        else:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        if status != 101:
            if codec.draining or (end and self.body is not None):
                self.keep = False
            if not self.keep:
                framing += b"connection: close\r\n"
            elif self.old:
                framing += b"connection: keep-alive\r\n"
        try:
            codec.write(response_bytes(head, framing))
        except LocalProtocolError:
            codec.fail(Reset.PROTOCOL_ERROR)
            return
        self.answered = True
        if end:
            self._end()
        elif self.pump:
            codec.pump_waiting()

    def send_data(self, data: bytes, end: bool) -> None:
        codec = self._codec
        if codec.stream is not self:
            return
        left = self._left
        if left >= 0:
            if len(data) > left:
                codec.fail(Reset.PROTOCOL_ERROR)
                return
            self._left = left - len(data)
            if data:
                codec.write(data)
        elif left == -1 and data:
            codec.write(chunk(data) if self._chunked else data)
        if end:
            if self._chunked:
                codec.write(LAST_CHUNK)
            self._end()

    def send_trailers(self, trailers: Headers) -> None:
        codec = self._codec
        if codec.stream is not self:
            return
        if self._chunked:
            try:
                codec.write(last_chunk(trailers))
            except LocalProtocolError:
                codec.fail(Reset.PROTOCOL_ERROR)
                return
        self._end()

    def reset(self, why: Reset) -> None:
        codec = self._codec
        if codec.stream is self:
            self.handler = NOBODY
            if self.ended:
                codec.finished()
            else:
                codec.give_up()

    def pause_reading(self) -> None:
        if self._codec.stream is self:
            self._codec.paused = True
            self._codec.wire.pause_reading()

    def resume_reading(self) -> None:
        if self._codec.stream is self:
            self._codec.paused = False
            self._codec.wire.resume_reading()

    def _end(self) -> None:
        """The answer is complete."""
        codec = self._codec
        if self._left > 0:
            codec.fail(Reset.PROTOCOL_ERROR)
            return
        self.ended = True
        if self.pump:
            codec.wire.write_eof()
            codec.finished()
        elif self.body is None:
            codec.finished()
        else:
            self.keep = False  # the exchange resets, and the rest of the request is not wanted
            codec.wire.resume_reading()
