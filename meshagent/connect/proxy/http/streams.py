"""What a codec, an exchange and a connection promise each other. Types only: HTTP/1.1 and HTTP/2 both fit behind it.

    client ──bytes──▶ ServerCodec ──▶ DownstreamStream ⇄ Exchange ⇄ UpstreamStream ◀── ClientCodec ◀──bytes── server

A *stream* is one request with its answer. Calls go both ways and are plain method calls: no tasks, no futures, no
queues; nothing here waits. The one who calls `send_*` may go on whatever the buffers hold, and should stop when the
handler is told `on_blocked`; a codec never drops or refuses data because of it.

Rules that hold for every implementation:
- A message is head, data (maybe none), end. `end=True` comes once, with the last of head, data or trailers.
- After `end` in both directions, after `reset` (called) or `on_reset` (told), a stream makes no more callbacks and
  ignores calls. Whoever resets is not told `on_reset` himself.
- Callbacks may come from inside a call (`send_head` on a broken connection may call `on_reset` before it returns).
- Bytes reach the wire when the event that caused them has been handled (`Wire.write` gathers).

Source: RFC 9112 (HTTP/1.1), RFC 9113 (HTTP/2), RFC 8441 (websockets over HTTP/2). What may change here: methods are
added together with all that implement them.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead

__all__ = [
    "ClientCodec",
    "DownstreamHandler",
    "DownstreamStream",
    "OnRequest",
    "Peer",
    "Reset",
    "ServerCodec",
    "Timer",
    "Timers",
    "UpstreamHandler",
    "UpstreamStream",
    "Wire",
]


class Reset(enum.Enum):
    """Why a stream ended before its messages did. Values are Envoy's words for access logs."""

    #: No connection: refused, unreachable, TLS failed, wrong identity.
    CONNECT_FAILURE = "connection_failure"
    CONNECT_TIMEOUT = "connection_timeout"
    #: The connection was pooled and ended before one byte of the answer: the server may never have seen the request.
    STALE = "stale_connection"
    #: The connection ended in the middle.
    CONNECTION_LOST = "connection_termination"
    #: The peer ended this stream alone (RST_STREAM).
    REMOTE = "remote_reset"
    #: The peer says that it has not looked at the request (REFUSED_STREAM, GOAWAY below the stream).
    REFUSED = "remote_refused_stream_reset"
    #: What the peer sent is no HTTP, or lies about its length.
    PROTOCOL_ERROR = "protocol_error"
    #: We ended it: the other side went away, a timeout passed, the proxy stops.
    LOCAL = "local_reset"
    TIMEOUT = "timeout"
    OVERFLOW = "overflow"


@dataclass(frozen=True)
class Peer:
    """Who is at the other end of a client's connection. All "" on the local side of a sidecar, where nobody proves it.

    `identity` is the URI of the verified certificate (SPIFFE id), `certificate_hash` its SHA-256 in hex,
    `local_identity` our own URI: what `x-forwarded-client-cert` says. `address` is "ip:port".
    """

    address: str = ""
    identity: str = ""
    certificate_hash: str = ""
    local_identity: str = ""

    @functools.cached_property
    def forwarded(self) -> bytes:
        """The element of `x-forwarded-client-cert` that speaks of this peer."""
        return f"By={self.local_identity};Hash={self.certificate_hash};URI={self.identity}".encode()


class Timer(Protocol):
    """One pending timer."""

    def cancel(self) -> None:
        """It does not fire. May be called again, and after it has fired."""


class Timers(Protocol):
    """Coarse timers (some 10 ms late, never early) and the time, in monotonic seconds."""

    def now(self) -> float:
        """Monotonic seconds, exact."""

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back once, in `delay_s` seconds or a little later."""


class Wire(Protocol):
    """A connection as its codec sees it: plain text both ways, TLS and the socket behind it."""

    peer: Peer

    def write(self, data: bytes) -> None:
        """Send. Gathered: what is written while one event is handled leaves as one piece."""

    def defer(self, flush: Callable[[], None]) -> None:
        """Call `flush` once, when the present event has been handled, right before what was written leaves."""

    def write_eof(self) -> None:
        """Say that nothing more will be written; reading goes on."""

    def close(self) -> None:
        """Close after what was written has left. No `data_received` follows, `connection_lost` does."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """No more `data_received` until `resume_reading`. May be called again."""

    def resume_reading(self) -> None:
        """Go on."""


class ConnectionCodec(Protocol):
    """One connection's protocol, driven by its edge. Never raises for what the peer sends."""

    def data_received(self, data: bytes) -> None:
        """Plain text from the peer."""

    def eof_received(self) -> None:
        """The peer sends no more (FIN or close_notify)."""

    def connection_lost(self, why: str) -> None:
        """It is gone; every open stream's handler is told `on_reset`. No calls follow."""

    def writing_blocked(self) -> None:
        """The peer does not take what is written: tell the handlers `on_blocked`."""

    def writing_resumed(self) -> None:
        """It does again: tell the handlers `on_writable`."""

    def drain(self) -> None:
        """Take no new requests, close when the open ones have ended (`connection: close`, GOAWAY)."""

    @property
    def active(self) -> int:
        """Streams that are open."""


class ServerCodec(ConnectionCodec, Protocol):
    """The side that a client talks to. Made with a `Wire`, `Timers` and an `OnRequest`."""


class ClientCodec(ConnectionCodec, Protocol):
    """The side that talks to a server: requests are put in."""

    @property
    def capacity(self) -> int:
        """How many more streams may be opened now. 0 when busy or `closed`."""

    @property
    def closed(self) -> bool:
        """No stream will ever be opened again; the pool forgets it."""

    #: Streams opened so far: 0 tells that a connection is fresh.
    opened: int
    #: Called when capacity came back or `closed` became true; the pool sets it.
    on_change: Callable[[], None]

    def open_stream(self, head: RequestHead, end: bool, handler: UpstreamHandler) -> UpstreamStream:
        """Send a request's head (`end`: there is no body). Capacity must be there. `head` is not kept."""


class DownstreamStream(Protocol):
    """A client's request, as the one who answers it sees it."""

    #: Told what else comes from the client. Set by `OnRequest` before it returns.
    handler: DownstreamHandler
    peer: Peer

    def send_informational(self, head: ResponseHead) -> None:
        """A 1xx but 101, before the head."""

    def send_head(self, head: ResponseHead, end: bool) -> None:
        """The answer's head; 101 accepts an upgrade. `head` is not kept. The codec makes the framing from
        `head.length`, whatever `content-length` says."""

    def send_data(self, data: bytes, end: bool) -> None:
        """A piece of the body, may be empty."""

    def send_trailers(self, trailers: Headers) -> None:
        """Ends the answer."""

    def reset(self, why: Reset) -> None:
        """End it now: RST_STREAM, or the connection is closed, so that the client cannot take it for complete. After
        a complete answer: the rest of the request is not wanted (RST_STREAM NO_ERROR, or the connection is closed)."""

    def pause_reading(self) -> None:
        """Deliver no more of the request's body. Counts not: twice is once."""

    def resume_reading(self) -> None:
        """Go on."""


class DownstreamHandler(Protocol):
    """Told about a client's request after its head."""

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the body, may be empty with `end`."""

    def on_trailers(self, trailers: Headers) -> None:
        """Ends the request."""

    def on_reset(self, why: Reset) -> None:
        """The client is gone or has cancelled. Nothing more may be sent."""

    def on_blocked(self) -> None:
        """The client does not take more of the answer."""

    def on_writable(self) -> None:
        """It does again."""


class UpstreamStream(Protocol):
    """A request on its way to a server."""

    def send_data(self, data: bytes, end: bool) -> None:
        """A piece of the body, may be empty."""

    def send_trailers(self, trailers: Headers) -> None:
        """Ends the request."""

    def reset(self, why: Reset) -> None:
        """Give it up: RST_STREAM, or the connection is closed. No callback comes after this."""

    def pause_reading(self) -> None:
        """Deliver no more of the answer."""

    def resume_reading(self) -> None:
        """Go on."""


class UpstreamHandler(Protocol):
    """Told about a server's answer."""

    def on_informational(self, head: ResponseHead) -> None:
        """A 1xx but 101."""

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """The answer's head. The handler owns it."""

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the body, may be empty with `end`."""

    def on_trailers(self, trailers: Headers) -> None:
        """Ends the answer."""

    def on_reset(self, why: Reset) -> None:
        """It will not be completed."""

    def on_blocked(self) -> None:
        """The server does not take more of the request."""

    def on_writable(self) -> None:
        """It does again."""


#: A head has come: make an exchange and set `stream.handler`. (stream, head, end: there is no body.) The answer may be
#: sent before it returns.
OnRequest = Callable[[DownstreamStream, RequestHead, bool], None]
