"""gRPC on one HTTP/2 connection: bytes in, calls and messages out, and back. No I/O; both sides.

Source: github.com/grpc/grpc, "gRPC over HTTP2" (paths, metadata, length-prefixed messages, trailers); RFC 9113.
Messages are bytes; a caller may compress his with gzip, we never do. HTTP/2 is the library `h2`'s, imported with the
first connection. Bounds: one message `max_message` bytes (as `limit_of` says for the method), what waits to be sent
`MAX_UNSENT` (ask `unsent` before sending more), calls of one connection `max_calls`, what has come of messages that are
not whole twice the longest or `MAX_PARTIAL`.

What may change here: further encodings.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from meshagent.errors import LocalProtocolError

if TYPE_CHECKING:
    from h2.connection import H2Connection

__all__ = ["MAX_CALLS", "MAX_UNSENT", "Called", "Closed", "Event", "Finished", "GrpcConnection", "Received"]

#: Calls at one time on one connection, unless its owner says otherwise: an Envoy has one, a dataplane several.
MAX_CALLS = 100
#: What may wait to be sent before the sender should wait.
MAX_UNSENT = 1024 * 1024
#: What may have come of messages that are not whole, on all calls of a connection, where twice the longest is not more.
MAX_PARTIAL = 2 * 1024 * 1024
#: So many calls may be given up beyond those that were answered (CVE-2023-44487, "rapid reset").
MAX_TAKEN_BACK = 1000
#: What is understood at a time, so that a flood is noticed before all of it was worked through.
_SLICE = 16 * 1024
#: Header lists; a call has about 300 bytes, tokens included.
MAX_HEADERS = 16 * 1024
#: How much may be under way towards us on one call.
WINDOW = 1024 * 1024

#: Status codes of gRPC that are used here.
OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 0, 1, 2, 3, 5, 7, 8
FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 9, 12, 13, 14, 16
#: What HTTP/2 calls a call that nobody waits for any more.
_CANCEL = 8
_ENHANCE_YOUR_CALM = 11
_GZIP = 16 + zlib.MAX_WBITS


_ANSWERED = (
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-accept-encoding", "identity,gzip"),
)


@dataclass(frozen=True, slots=True)
class Called:
    """The other side calls a method. `metadata` by name in lower case; of several of one name the last."""

    call: int
    method: str
    metadata: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a call."""

    call: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """A call is over. On the called side: the caller sends no more (code 0), or gave up."""

    call: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection cannot be used any more."""

    reason: str


Event = Called | Received | Finished | Closed


@dataclass(slots=True)
class _Call:
    max_message: int
    gzip: bool = False
    partial: bytearray = field(default_factory=bytearray)
    unsent: deque[bytes] = field(default_factory=deque)
    ends: tuple[tuple[str, str], ...] | None = None
    """Trailers to be sent behind the rest; () ends a caller's half."""
    over: bool = False


class GrpcConnection:
    """One connection."""

    def __init__(
        self,
        *,
        dials: bool,
        max_message: int,
        max_calls: int = MAX_CALLS,
        limit_of: Callable[[str], int] | None = None,
    ) -> None:
        """`limit_of(method)`: how long messages of a call may be, where not `max_message`."""
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.settings import SettingCodes, Settings

        self._max_message = max_message
        self._limit_of = limit_of
        self._dials = dials
        self._h2: H2Connection = H2Connection(H2Configuration(client_side=dials, header_encoding="utf-8"))
        self._calls: dict[int, _Call] = {}
        self._closed = False
        #: Calls that the caller gave up, less those that were answered.
        self._taken_back = 0
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: max_calls,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS,
        }
        if dials:
            settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.local_settings = Settings(client=dials, initial_values=settings)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW)

    # --- what this side does -----------------------------------------------------------------------------------

    def call(
        self, method: str, authority: str, metadata: Sequence[tuple[str, str]] = (), *, scheme: str = "https"
    ) -> int:
        """Call a method; the number of the call. Raises LocalProtocolError when the connection is closed."""
        if self._closed:
            raise LocalProtocolError("the connection is closed")
        number: int = self._h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", scheme),
            (":path", method),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "meshagent"),
            *metadata,
        ]
        self._h2.send_headers(number, headers)
        self._calls[number] = _Call(self._max_message)
        return number

    def send(self, call: int, message: bytes) -> None:
        """Send a message; nothing happens when the call is over."""
        held = self._calls.get(call)
        if held is not None and held.ends is None:
            held.unsent.append(b"\0" + len(message).to_bytes(4, "big") + message)
            self._flush(call, held)

    def end(self, call: int) -> None:
        """The caller sends no more."""
        self._end(call, ())

    def finish(self, call: int, code: int = OK, text: str = "") -> None:
        """The called side ends a call."""
        trailers = [("grpc-status", str(code))]
        if text:
            trailers.append(("grpc-message", quote(text, safe=" !#$&'()*+,/:;=?@[]~\"")))
        self._end(call, tuple(trailers))

    def _end(self, call: int, trailers: tuple[tuple[str, str], ...]) -> None:
        held = self._calls.get(call)
        if held is not None and held.ends is None:
            held.ends = trailers
            self._flush(call, held)

    def cancel(self, call: int) -> None:
        """The caller wants no more of it."""
        from h2.exceptions import ProtocolError

        if self._calls.pop(call, None) is not None and not self._closed:
            try:
                self._h2.reset_stream(call, error_code=_CANCEL)
            except ProtocolError:  # it has just ended
                return

    def allow(self, call: int, max_message: int) -> None:
        """Messages of a call may be so long from now on."""
        held = self._calls.get(call)
        if held is not None:
            held.max_message = max_message

    def is_open(self, call: int) -> bool:
        """Whether something may still be sent on it."""
        return call in self._calls

    def ping(self) -> None:
        """Ask the other side for a sign of life."""
        if not self._closed:
            self._h2.ping(b"meshping")

    def close(self) -> None:
        """Say goodbye."""
        if not self._closed:
            self._closed = True
            self._h2.close_connection()

    def unsent(self, call: int) -> int:
        """Bytes that wait for the other side to take them."""
        held = self._calls.get(call)
        return 0 if held is None else sum(map(len, held.unsent))

    def output(self) -> bytes:
        """What is to be written now."""
        data: bytes = self._h2.data_to_send()
        return data

    # --- what the other side does ------------------------------------------------------------------------------

    def received(self, data: bytes) -> list[Event]:
        """Take bytes. After `Closed` nothing follows."""
        from h2.exceptions import ProtocolError

        if self._closed:
            return []
        events: list[Event] = []
        try:
            for at in range(0, len(data), _SLICE):
                for event in self._h2.receive_data(data[at : at + _SLICE]):
                    self._handle(event, events)
                if self._taken_back > MAX_TAKEN_BACK:
                    self._closed = True
                    self._h2.close_connection(error_code=_ENHANCE_YOUR_CALM)
                    events.append(Closed("too many calls were taken back"))
                    break
        except (ProtocolError, UnicodeDecodeError) as error:
            self._closed = True
            events.append(Closed(f"broken HTTP/2: {error}"))
        return events

    def _handle(self, event: Any, events: list[Event]) -> None:
        from h2 import events as h2

        match event:
            case h2.RequestReceived():
                self._requested(event, events)
            case h2.ResponseReceived():
                self._answered(event, events)
            case h2.DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._data(event.stream_id, event.data, events)
            case h2.TrailersReceived():
                self._status(event.stream_id, event.headers, events)
            case h2.StreamEnded() if not self._dials and event.stream_id in self._calls:
                events.append(Finished(event.stream_id, OK, ""))
            case h2.StreamEnded():
                self._over(event.stream_id, UNAVAILABLE, "the call ended without a status", events)
            case h2.StreamReset():
                self._taken_back += not self._dials
                self._over(event.stream_id, UNAVAILABLE, f"the call was reset: {event.error_code}", events)
            case h2.WindowUpdated() | h2.RemoteSettingsChanged():
                for call, held in list(self._calls.items()):
                    self._flush(call, held)
            case h2.ConnectionTerminated():
                self._closed = True
                events.append(Closed(f"the other side said goodbye: {event.error_code}"))
            case _:
                pass

    def _requested(self, event: Any, events: list[Event]) -> None:
        from h2.exceptions import ProtocolError

        try:
            self._begin(event, events)
        except ProtocolError:  # given up with the same bytes that it began with
            return

    def _begin(self, event: Any, events: list[Event]) -> None:
        headers = dict(event.headers)
        call = event.stream_id
        if headers.get(":method") != "POST" or not headers.get("content-type", "").startswith("application/grpc"):
            self._h2.send_headers(call, [(":status", "415")], end_stream=True)
            return
        method = headers.get(":path", "")
        limit = self._max_message if self._limit_of is None else self._limit_of(method)
        self._h2.send_headers(call, _ANSWERED)
        self._calls[call] = _Call(limit, gzip=headers.get("grpc-encoding") == "gzip")
        metadata = {name: value for name, value in headers.items() if not name.startswith(":")}
        events.append(Called(call, method, metadata))

    def _answered(self, event: Any, events: list[Event]) -> None:
        headers = dict(event.headers)
        if "grpc-status" in headers:
            self._status(event.stream_id, event.headers, events)
        elif headers.get(":status") != "200":
            self._over(event.stream_id, UNAVAILABLE, f"the other side answered {headers.get(':status')}", events)

    def _status(self, call: int, headers: Sequence[Any], events: list[Event]) -> None:
        found = dict(headers)
        text = found.get("grpc-status", "")
        code = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else UNKNOWN
        self._over(call, code, unquote(found.get("grpc-message", "")), events)

    def _over(self, call: int, code: int, text: str, events: list[Event]) -> None:
        if self._calls.pop(call, None) is not None:
            events.append(Finished(call, code, text))

    def _data(self, call: int, data: bytes, events: list[Event]) -> None:
        held = self._calls.get(call)
        if held is None:
            return
        held.partial += data
        while len(held.partial) >= 5:
            packed, length = held.partial[0], int.from_bytes(held.partial[1:5], "big")
            if packed > held.gzip:
                self._refuse(call, UNIMPLEMENTED, "messages may be compressed with gzip only, as grpc-encoding", events)
                return
            if length > held.max_message:
                words = f"a message of {length} bytes; at most {held.max_message} are taken"
                self._refuse(call, RESOURCE_EXHAUSTED, words, events)
                return
            if len(held.partial) < 5 + length:
                if sum(len(one.partial) for one in self._calls.values()) > max(MAX_PARTIAL, 2 * held.max_message):
                    self._refuse(call, RESOURCE_EXHAUSTED, "too many messages of this connection are not whole", events)
                return
            message: bytes | None = bytes(held.partial[5 : 5 + length])
            del held.partial[: 5 + length]
            if packed and message is not None:
                message = _unpacked(message, held.max_message)
            if message is None:
                words = f"a compressed message that is broken or has more than {held.max_message} bytes"
                self._refuse(call, RESOURCE_EXHAUSTED, words, events)
                return
            events.append(Received(call, message))

    def _refuse(self, call: int, code: int, text: str, events: list[Event]) -> None:
        if self._dials:
            self._h2.reset_stream(call, error_code=_CANCEL)
        else:
            self.finish(call, code, text)
        self._calls.pop(call, None)
        events.append(Finished(call, code, text))

    # --- flow control ------------------------------------------------------------------------------------------

    def _flush(self, call: int, held: _Call) -> None:
        from h2.exceptions import ProtocolError

        if held.over or self._closed:
            return
        try:
            while held.unsent:
                room = min(self._h2.local_flow_control_window(call), self._h2.max_outbound_frame_size)
                if room <= 0:
                    return
                first = held.unsent.popleft()
                if len(first) > room:
                    held.unsent.appendleft(first[room:])
                    first = first[:room]
                self._h2.send_data(call, first)
            if held.ends is not None:
                held.over = True
                if held.ends:
                    self._h2.send_headers(call, list(held.ends), end_stream=True)
                else:
                    self._h2.end_stream(call)
                if not self._dials:
                    self._calls.pop(call, None)
                    self._taken_back = max(0, self._taken_back - 1)
        except ProtocolError:  # the call was reset meanwhile: its end is told when it is read
            held.over = True


def _unpacked(message: bytes, limit: int) -> bytes | None:
    """What was packed with gzip; None when it is broken or longer than `limit`."""
    stream = zlib.decompressobj(_GZIP)
    try:
        whole = stream.decompress(message, limit + 1)
    except zlib.error:
        return None
    return whole if stream.eof and len(whole) <= limit else None
