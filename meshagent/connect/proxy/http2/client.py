"""The side of HTTP/2 that talks to a server: `ClientCodec`. Many requests share its connection.

Source: RFC 9113 sections 5.1.2 (concurrency), 6.8 (GOAWAY) and 8.7 (what may be sent again); RFC 8441. What may change
here: what is particular to clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import ngh2

from meshagent.connect.proxy.http.messages import RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import Reset, Timers, UpstreamHandler, Wire
from meshagent.connect.proxy.http2 import limits
from meshagent.connect.proxy.http2.connection import Connection
from meshagent.connect.proxy.http2.heads import read_response, write_request
from meshagent.connect.proxy.http2.stream import Stream

__all__ = ["ClientStream", "Http2ClientCodec"]

#: The last identifiers are left alone: a new connection takes over in time.
_LAST_ID = 2**31 - 2 * limits.MAX_STREAMS


class ClientStream(Stream):
    """A request on its way: `UpstreamStream`."""

    __slots__ = ("_tunnel", "answered", "received_before")

    handler: UpstreamHandler

    def __init__(
        self, connection: Http2ClientCodec, stream_id: int, handler: UpstreamHandler, tunnel: bool, end: bool
    ) -> None:
        super().__init__(connection, stream_id)
        self.handler = handler
        self.ended_out = end
        self.answered = False
        #: How often something had come from the server when it was opened.
        self.received_before = connection.received
        self._tunnel = tunnel

    def answer(self, head: ResponseHead, end: bool) -> None:
        """The answer's head."""
        self.answered = True
        if self._tunnel and head.status == 200:
            head.status = 101
        if end:
            self.ended_in = True
        if not self.over:
            self.handler.on_head(head, end)


class Http2ClientCodec(Connection):
    """Requests out, answers in."""

    role = ngh2.Role.CLIENT
    settings = limits.CLIENT_SETTINGS

    def __init__(self, wire: Wire, timers: Timers, on_violation: Callable[[str], None] = lambda why: None) -> None:
        self.opened = 0
        self.received = 0
        self.on_change: Callable[[], None] = _nothing
        self._most = limits.CONFIGURATION.peer_max_concurrent_streams
        self._first_settings = True
        self._full = False
        super().__init__(wire, timers, on_violation)

    @property
    def capacity(self) -> int:
        """How many more streams may be opened now."""
        if self.draining or self.gone:
            return 0
        room = self._most - len(self.streams)
        if room > 0:
            return room
        self._full = True
        return 0

    @property
    def closed(self) -> bool:
        """No stream will ever be opened again."""
        return self.draining or self.gone

    def open_stream(self, head: RequestHead, end: bool, handler: UpstreamHandler) -> ClientStream:
        """Send a request's head. Where it cannot be sent, the handler is told `on_reset` at once."""
        tunnel = bool(head.upgrade)
        try:
            if tunnel and not self.engine.remote_settings.get(ngh2.Setting.ENABLE_CONNECT_PROTOCOL):
                return self._refused(handler, tunnel, Reset.PROTOCOL_ERROR)
            stream_id = self.engine.send_request(write_request(head), end_stream=end)
        except ngh2.NGH2Error:  # a GOAWAY has come with the event that is being handled
            self.drain()
            return self._refused(handler, tunnel, Reset.REFUSED)
        self.opened += 1
        stream = self.streams[stream_id] = ClientStream(self, stream_id, handler, tunnel, end)
        if len(self.streams) >= self._most:
            self._full = True
        if stream_id > _LAST_ID:
            self.drain()
        if not self.deferred:
            self.defer()
        return stream

    def data_received(self, data: bytes) -> None:
        self.received += 1
        super().data_received(data)

    def drain(self) -> None:
        """Open no more streams, close when the open ones have ended."""
        if not self.draining and not self.gone:
            self.draining = True
            self.on_change()
            self.emptied()

    def complete(self, stream: Stream) -> bool:
        return stream.ended_in

    def lose(self, *why: Any) -> None:
        if not self.gone:
            super().lose(*why)
            self.on_change()

    def tell_reset(self, stream: Stream, why: Reset) -> None:
        if (
            why is Reset.CONNECTION_LOST
            and self.opened > 1
            and isinstance(stream, ClientStream)
            and stream.received_before == self.received
        ):
            why = Reset.STALE
        stream.handler.on_reset(why)

    def emptied(self) -> None:
        if self.draining:
            if not self.streams and not self.gone:
                try:
                    self.engine.send_goaway()
                except ngh2.NGH2Error:
                    return
                if not self.deferred:
                    self.defer()
        elif self._full:
            self._full = False
            self.on_change()

    def _answered(self, event: ngh2.ResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if isinstance(stream, ClientStream):
            stream.answer(read_response(event.headers), event.end_stream)
            if stream.ended_in:
                self._give_up(stream)

    def _informed(self, event: ngh2.InformationalResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None and not stream.over:
            stream.handler.on_informational(read_response(event.headers))

    def _data(self, event: ngh2.DataReceived) -> None:
        super()._data(event)
        if event.end_stream:
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                self._give_up(stream)

    def _trailers(self, event: ngh2.TrailersReceived) -> None:
        super()._trailers(event)
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            self._give_up(stream)

    def _give_up(self, stream: Stream) -> None:
        """The answer is complete: what is left of the request is not wanted."""
        if not stream.ended_out:
            stream.ended_out = True
            self.send_reset(stream, ngh2.ErrorCode.CANCEL)

    def _settings(self, event: ngh2.SettingsReceived) -> None:
        super()._settings(event)
        most = event.settings.get(ngh2.Setting.MAX_CONCURRENT_STREAMS)
        if most is None and self._first_settings:
            most = limits.MAX_STREAMS
        self._first_settings = False
        if most is not None:
            self._most = min(most, limits.MAX_STREAMS)
            if self.capacity:
                self.on_change()

    def _goaway(self, event: ngh2.GoAwayReceived) -> None:
        super()._goaway(event)
        self.drain()

    def _refused(self, handler: UpstreamHandler, tunnel: bool, why: Reset) -> ClientStream:
        stream = ClientStream(self, 0, handler, tunnel, True)
        stream.over = True
        handler.on_reset(why)
        return stream

    actions: ClassVar[dict[type[ngh2.Event], Callable[[Any, Any], None]]] = {
        **Connection.actions,
        ngh2.DataReceived: _data,
        ngh2.TrailersReceived: _trailers,
        ngh2.SettingsReceived: _settings,
        ngh2.GoAwayReceived: _goaway,
        ngh2.ResponseReceived: _answered,
        ngh2.InformationalResponseReceived: _informed,
    }


def _nothing() -> None:
    """Nobody asked."""
