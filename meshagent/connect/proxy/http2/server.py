"""The side of HTTP/2 that a client talks to: `ServerCodec`.

Source: RFC 9113 sections 6.8 (graceful shutdown) and 8.1 (an answer before the request has ended); RFC 8441. What may
change here: what is particular to servers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import ngh2

from meshagent.connect.proxy.http.messages import ResponseHead
from meshagent.connect.proxy.http.streams import DownstreamHandler, OnRequest, Timer, Timers, Wire
from meshagent.connect.proxy.http2 import limits
from meshagent.connect.proxy.http2.connection import Connection
from meshagent.connect.proxy.http2.heads import read_request, write_response
from meshagent.connect.proxy.http2.stream import Stream
from meshagent.errors import RemoteProtocolError

__all__ = ["Http2ServerCodec", "ServerStream"]

_DRAIN = b"draining"
#: A connection without requests is closed (Envoy: idle_timeout of the HTTP connection manager, 1 h).
IDLE_TIMEOUT_S = 3600.0
#: A client that does not answer the PING behind the first GOAWAY has seen it by then, or never will.
_DRAIN_S = 1.0


class ServerStream(Stream):
    """A client's request: `DownstreamStream`."""

    __slots__ = ("_tunnel", "peer")

    handler: DownstreamHandler

    def __init__(self, connection: Connection, stream_id: int, tunnel: bool) -> None:
        super().__init__(connection, stream_id)
        self.peer = connection.wire.peer
        #: It is an extended CONNECT.
        self._tunnel = tunnel

    def send_informational(self, head: ResponseHead) -> None:
        if not self.over and not self.ended_out:
            connection = self.connection
            try:
                connection.engine.send_informational_response(self.id, write_response(head))
            except ngh2.NGH2Error:
                return
            if not connection.deferred:
                connection.defer()

    def send_head(self, head: ResponseHead, end: bool) -> None:
        if self.over or self.ended_out:
            return
        connection = self.connection
        try:
            connection.engine.send_response(self.id, write_response(head, self._tunnel), end_stream=end)
        except ngh2.NGH2Error:  # the client has reset it, which is told in a moment
            return
        if end:
            self.ended_out = True
            connection.ended(self)
        if not connection.deferred:
            connection.defer()


class Http2ServerCodec(Connection):
    """Requests in, answers out."""

    role = ngh2.Role.SERVER
    settings = limits.SERVER_SETTINGS

    def __init__(
        self,
        wire: Wire,
        timers: Timers,
        on_request: OnRequest,
        on_violation: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.on_request = on_request
        #: Streams whose answer has ended while the request has not.
        self._early: set[Stream] = set()
        #: Whether the client knows that the connection ends, and whether it was told where.
        self._heard = False
        self._idle: Timer | None = None
        self._last_called = False
        super().__init__(wire, timers, on_violation)
        self._watch_idle(-1)

    def drain(self) -> None:
        """Say that no new requests are taken, wait until the client has heard it, then mean it."""
        if self.draining or self.gone:
            return
        self.draining = True
        try:
            self.engine.send_shutdown_notice()
            self.make_frames()  # else the PING would overtake it
            self.engine.ping(_DRAIN)
        except ngh2.NGH2Error:
            return
        self.timers.after(_DRAIN_S, self._last_call)
        if not self.deferred:
            self.defer()

    def ended(self, stream: Stream) -> None:
        if not stream.ended_in:
            self._early.add(stream)

    def complete(self, stream: Stream) -> bool:
        return stream.ended_out

    def flushed(self) -> None:
        """Answers that are complete while their requests are not: once they have left, the rest is not wanted."""
        for stream in list(self._early) if self._early else ():
            if stream.ended_in or stream.id not in self.streams:
                self._early.discard(stream)
            elif not self.engine.queued_body_size(stream.id):
                self._early.discard(stream)
                stream.over = True
                self.send_reset(stream, ngh2.ErrorCode.NO_ERROR)
                stream.drop_held()

    def lose(self, *why: Any) -> None:
        super().lose(*why)
        self._early.clear()
        if self._idle is not None:
            self._idle.cancel()  # it would hold this for an hour
            self._idle = None

    def _watch_idle(self, last_id: int) -> None:
        """Looked at now and then, so that a request costs no timer."""
        if self.gone:
            return
        if last_id == self.last_id and not self.streams:
            self.drain()
            return
        seen = self.last_id
        self._idle = self.timers.after(IDLE_TIMEOUT_S, lambda: self._watch_idle(seen))

    def _request(self, event: ngh2.RequestReceived) -> None:
        stream_id = event.stream_id
        self.last_id = stream_id
        try:
            head = read_request(event.headers)
        except RemoteProtocolError:
            self.engine.reset_stream(stream_id, ngh2.ErrorCode.PROTOCOL_ERROR)
            return
        stream = ServerStream(self, stream_id, bool(head.upgrade))
        stream.ended_in = end = event.end_stream
        self.streams[stream_id] = stream
        self.on_request(stream, head, end)

    def _pong(self, event: ngh2.PingAcknowledged) -> None:
        if event.opaque_data == _DRAIN:
            self._heard = True

    def handled(self) -> None:
        if self._heard:
            self._last_call()

    def _last_call(self) -> None:
        """The GOAWAY that counts. It names the last request that was taken and leaves at once: none comes between."""
        if self.gone or self._last_called:
            return
        self._last_called = True
        try:
            self.engine.send_goaway()
        except ngh2.NGH2Error:
            return
        self.make_frames()

    actions: ClassVar[dict[type[ngh2.Event], Callable[[Any, Any], None]]] = {
        **Connection.actions,
        ngh2.RequestReceived: _request,
        ngh2.PingAcknowledged: _pong,
    }
