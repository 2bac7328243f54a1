"""One HTTP/2 connection: what both of its sides have in common. The protocol engine is nghttp2 (`ngh2`); this is its
only door, with `limits.py`.

    data_received ─▶ engine ─▶ events ─▶ streams ─▶ handlers
    wire ◀── flush ◀── engine ◀── streams ◀── send_*

Frames are made once in a turn of the loop (`Wire.defer`): what many requests want to say leaves as one piece. Received
data is acknowledged when a handler took it, so that a slow reader stops its own stream; what waits to be sent is
bounded by telling handlers `on_blocked`. While the peer does not read, no frames are made: the engine ends a connection
whose peer sends PINGs and reads no answers.

Source: RFC 9113; nghttp2.org/documentation. What may change here: what holds for both sides alike.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar

import ngh2

from meshagent.connect.proxy.http.streams import Reset, Timer, Timers, Wire
from meshagent.connect.proxy.http2 import limits
from meshagent.connect.proxy.http2.stream import Stream

__all__ = ["Connection"]

_GOAWAY = struct.Struct(">BHBBIII")
#: A window cannot pass 2**31 - 1; long before that a new connection takes over.
_MOST_MENDED = 1 << 30

#: RST_STREAM codes by our reason. A server that fails in the middle is INTERNAL_ERROR; what nobody wants is CANCEL.
_CODES = {
    Reset.PROTOCOL_ERROR: ngh2.ErrorCode.PROTOCOL_ERROR,
    Reset.REFUSED: ngh2.ErrorCode.REFUSED_STREAM,
    Reset.OVERFLOW: ngh2.ErrorCode.REFUSED_STREAM,
    Reset.REMOTE: ngh2.ErrorCode.INTERNAL_ERROR,
    Reset.CONNECTION_LOST: ngh2.ErrorCode.INTERNAL_ERROR,
    Reset.STALE: ngh2.ErrorCode.INTERNAL_ERROR,
}


class Connection:
    """Frames in, callbacks out. A subclass says what its events mean: `actions`, methods by type of event."""

    role: ClassVar[ngh2.Role]
    settings: ClassVar[dict[int, int]]

    def __init__(self, wire: Wire, timers: Timers, on_violation: Callable[[str], None] = lambda why: None) -> None:
        """`on_violation` is told why a connection was ended because of what its peer sent."""
        self.wire = wire
        self.timers = timers
        self.on_violation = on_violation
        self.engine = ngh2.Connection(self.role, limits.CONFIGURATION)
        self.streams: dict[int, Stream] = {}
        #: Streams that have queued data since the last flush.
        self.touched: list[Stream] = []
        self.deferred = False
        self.draining = False
        #: No more bytes either way.
        self.gone = False
        #: The last stream that the peer has opened.
        self.last_id = 0
        #: Bytes that were received and not taken.
        self.owed = 0
        self._blocked: set[Stream] = set()
        #: What the window of the connection was widened by (`_mend_window`).
        self._mended = 0
        self._peer_left = False
        self._wire_blocked = False
        self._patience: Timer | None = timers.after(limits.HANDSHAKE_S, self._impatient)
        self.engine.initiate_connection(self.settings)
        self.engine.set_local_window_size(limits.CONNECTION_WINDOW_BYTES)
        self.defer()

    # --- what the edge says ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.gone:
            return
        engine = self.engine
        try:
            engine.receive_data(data)
        except ngh2.DenialOfServiceError as error:
            self.fail(ngh2.ErrorCode.ENHANCE_YOUR_CALM, str(error))
            return
        except ngh2.NGH2Error as error:
            self.fail(ngh2.ErrorCode.PROTOCOL_ERROR, str(error))
            return
        self._handle(engine.events())
        self.handled()
        if not self.deferred:
            self.defer()

    def eof_received(self) -> None:
        if not self.gone:
            self.lose()
            self.wire.close()

    def connection_lost(self, why: str) -> None:
        self.lose()

    def writing_blocked(self) -> None:
        self._wire_blocked = True

    def writing_resumed(self) -> None:
        self._wire_blocked = False
        if not self.deferred:
            self.defer()

    @property
    def active(self) -> int:
        return len(self.streams)

    # --- what streams say --------------------------------------------------------------------------------------

    def defer(self) -> None:
        """Make frames when this turn of the loop has been handled."""
        if not self.gone:
            self.deferred = True
            self.wire.defer(self.flush)

    def taken(self, stream: Stream, size: int) -> None:
        """A handler took, or nobody wants, so many bytes: the peer may send as many more."""
        if size and not self.gone:
            self._acknowledge(stream.id, size)
            if not self.deferred:
                self.defer()

    def ended(self, stream: Stream) -> None:
        """Our message has ended."""

    def complete(self, stream: Stream) -> bool:
        """Whether a reset would take nothing away from anybody."""
        raise NotImplementedError

    def reset(self, stream: Stream, why: Reset) -> None:
        """Give a stream up."""
        if self.gone:
            return
        if not self.complete(stream):
            self.send_reset(stream, _CODES.get(why, ngh2.ErrorCode.CANCEL))
        stream.drop_held()

    def fail(self, code: int, why: str) -> None:
        """End the connection because of what the peer sent. The engine may be unusable: GOAWAY is made by hand."""
        if self.gone:
            return
        self.wire.write(_GOAWAY.pack(0, 8, 7, 0, 0, self.last_id, code))
        self._violated(why)

    def lose(self, why: Reset = Reset.CONNECTION_LOST) -> None:
        """No more bytes: tell every handler."""
        if self.gone:
            return
        self.gone = True
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        streams, self.streams = self.streams, {}
        self._blocked.clear()
        self.touched.clear()
        for stream in streams.values():
            if not stream.over and not self.complete(stream):
                stream.over = True
                self.tell_reset(stream, why)

    def tell_reset(self, stream: Stream, why: Reset) -> None:
        """A stream has ended before its messages did."""
        stream.handler.on_reset(why)

    def emptied(self) -> None:
        """A stream is gone."""

    # --- frames out --------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Make frames of what was queued."""
        self.deferred = False
        if self.gone:
            return
        if not self._wire_blocked:
            self.make_frames()
            if not self.gone:
                self.flushed()
        if self.touched or self._blocked:
            self._press()

    def make_frames(self) -> None:
        """Write what is queued, as far as the peer's windows let it."""
        engine = self.engine
        try:
            data = engine.data_to_send()
        except ngh2.NGH2Error as error:
            self.fail(ngh2.ErrorCode.INTERNAL_ERROR, str(error))
            return
        if data:
            self.wire.write(data)
        events = engine.events()
        if events:
            self._handle(events)

    def handled(self) -> None:
        """All that has come was handled."""

    def flushed(self) -> None:
        """Frames were made."""

    def _press(self) -> None:
        """Tell handlers whose peers take too little, and those whose peers have taken."""
        engine = self.engine
        touched, self.touched = self.touched, []
        total = engine.queued_body_size()
        blocked = self._blocked
        if total:
            most = limits.STREAM_HIGH_BYTES if total < limits.CONNECTION_HIGH_BYTES else limits.LOW_BYTES
            if total > most:
                for stream in touched:
                    if not stream.blocked and not stream.over and engine.queued_body_size(stream.id) > most:
                        stream.blocked = True
                        blocked.add(stream)
                        stream.handler.on_blocked()
        for stream in list(blocked) if blocked else ():
            if stream.over or engine.queued_body_size(stream.id) < limits.LOW_BYTES:
                blocked.discard(stream)
                stream.blocked = False
                if not stream.over:
                    stream.handler.on_writable()

    def send_reset(self, stream: Stream, code: int) -> None:
        """Send RST_STREAM."""
        try:
            self.engine.reset_stream(stream.id, code)
        except ngh2.NGH2Error:
            return
        if not self.deferred:
            self.defer()

    # --- events ------------------------------------------------------------------------------------------------

    def _handle(self, events: list[ngh2.Event]) -> None:
        actions = self.actions
        for event in events:
            action = actions.get(type(event))
            if action is not None:
                action(self, event)
                if self.gone:
                    return

    def _data(self, event: ngh2.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.data(event.data, event.end_stream)
        elif event.data:
            self._acknowledge(event.stream_id, len(event.data))

    def _trailers(self, event: ngh2.TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.trailers(list(event.headers))

    def _reset(self, event: ngh2.StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.code = event.error_code

    def _closed(self, event: ngh2.StreamClosed) -> None:
        stream = self.streams.pop(event.stream_id, None)
        if stream is None:
            return
        self._blocked.discard(stream)
        if not stream.ended_in:
            self._mend_window()
        if not stream.over and not self.complete(stream):
            stream.over = True
            stream.drop_held()
            if stream.code is None and (event.error_code == ngh2.ErrorCode.REFUSED_STREAM or event.local_error):
                why = Reset.REFUSED  # a GOAWAY has passed it over, or came before it was sent
            elif stream.code is None:
                why = Reset.PROTOCOL_ERROR
            else:
                why = Reset.REFUSED if stream.code == ngh2.ErrorCode.REFUSED_STREAM else Reset.REMOTE
            self.tell_reset(stream, why)
        if not stream.held:
            stream.over = True
            stream.handler = None  # which holds the stream: what is counted is freed at once
        self.emptied()

    def _settings(self, event: ngh2.SettingsReceived) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _goaway(self, event: ngh2.GoAwayReceived) -> None:
        self._peer_left = True

    def _ended(self, event: ngh2.ConnectionClosed) -> None:
        """The engine wants no more bytes: a GOAWAY was sent or has come, and no stream is left."""
        if event.error_code and not self._peer_left:
            self._violated(f"HTTP/2 error code {event.error_code}")
        else:
            self.lose()
            self.wire.close()

    def _violated(self, why: str) -> None:
        self.on_violation(why)
        self.lose(Reset.PROTOCOL_ERROR)
        self.wire.close()

    def _impatient(self) -> None:
        self._patience = None
        self.fail(ngh2.ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS in time")

    def _mend_window(self) -> None:
        """Give back what the engine forgot. The pieces of a frame that it has not completed when its stream is reset
        are never acknowledged; enough of them would close the window of the connection for good."""
        whole = limits.CONNECTION_WINDOW_BYTES + self._mended
        try:
            missing = whole // 2 - limits.MAX_FRAME_BYTES - self.owed - self.engine.local_window_size
        except ngh2.NGH2Error:  # the engine has ended the connection, which is told in a moment
            return
        if missing > 0:
            self._mended += missing
            self.engine.set_local_window_size(whole + missing)
            if self._mended > _MOST_MENDED:
                self.drain()

    def drain(self) -> None:
        """Take no new requests, close when the open ones have ended."""
        raise NotImplementedError

    def _acknowledge(self, stream_id: int, size: int) -> None:
        try:
            self.engine.acknowledge_received_data(size, stream_id)
        except (ngh2.NGH2Error, ValueError):  # the engine has ended the connection, which is told in a moment
            return

    actions: ClassVar[dict[type[ngh2.Event], Callable[[Any, Any], None]]] = {
        ngh2.DataReceived: _data,
        ngh2.TrailersReceived: _trailers,
        ngh2.StreamReset: _reset,
        ngh2.StreamClosed: _closed,
        ngh2.SettingsReceived: _settings,
        ngh2.GoAwayReceived: _goaway,
        ngh2.ConnectionClosed: _ended,
    }
