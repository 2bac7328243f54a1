"""I/O edge: one HTTP/2 connection of the API: the codec of the built-in sidecar on an asyncio transport.

    transport ─▶ codec ─▶ one Http2Request for each stream ─▶ dispatcher
    transport ◀── gathered frames ◀── codec ◀── answers

Frames of one turn of the loop leave as one piece. The codec bounds streams, heads, windows, resets and floods; a client
that does not read stops its own answers (`Http2Request`), and is left when too much waits for it all the same.

Source: RFC 9113; surface rows C26, C31; `connect/proxy/http/streams.py` (what a codec and its wire promise each other).
What may change here: bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from meshagent.agent.http.http2_request import Http2Request
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.streams import DownstreamStream, Peer
from meshagent.connect.proxy.http2.limits import API_SETTINGS
from meshagent.connect.proxy.http2.server import Http2ServerCodec

if TYPE_CHECKING:
    from meshagent.agent.http.server import HttpServer

__all__ = ["Http2Connection"]

log = logging.getLogger("agent.http")

#: What may wait for a client that does not read. Answers stop long before; what is left are acknowledgements.
MAX_BUFFERED = 16 << 20


class _Codec(Http2ServerCodec):
    settings: ClassVar[dict[int, int]] = API_SETTINGS


class _Timers:
    """The loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    def after(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_s, callback)


class Http2Connection(asyncio.Protocol):
    """One client. Its own `Wire`."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.remote = ""
        self.peer = Peer()
        #: Open requests, so that their tasks are not collected; each takes itself out.
        self.requests: set[Http2Request] = set()
        #: Set while the transport takes more.
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._codec: _Codec | None = None
        self._out: list[bytes] = []
        self._deferred: list[Callable[[], None]] = []
        self._scheduled = False
        self._closing = False
        self._admitted = False

    # --- asyncio -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote = peer[0] if isinstance(peer, tuple) and peer else ""
        if not self.server.admit(self.remote):
            self._transport.close()
            return
        self._admitted = True
        self.server.http2.add(self)
        self._codec = _Codec(self, _Timers(self._loop), self._request, self._violated)
        self.leave()

    def data_received(self, data: bytes) -> None:
        if self._codec is None or self._closing:
            return
        self._codec.data_received(data)
        self.leave()
        if self._transport is not None and self._transport.get_write_buffer_size() > MAX_BUFFERED:
            log.debug("an HTTP/2 client does not read: from=%s", self.remote)
            self.abort()

    def eof_received(self) -> bool:
        if self._codec is not None:
            self._codec.eof_received()
            self.leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._codec is not None:
            self._codec.connection_lost(type(exc).__name__ if exc is not None else "closed")
        if self._admitted:
            self._admitted = False
            self.server.release(self.remote)
            self.server.http2.discard(self)

    def pause_writing(self) -> None:
        self.writable.clear()
        if self._codec is not None:
            self._codec.writing_blocked()

    def resume_writing(self) -> None:
        self.writable.set()
        if self._codec is not None:
            self._codec.writing_resumed()

    # --- Wire --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._out.append(data)
        self._schedule()

    def defer(self, flush: Callable[[], None]) -> None:
        self._deferred.append(flush)
        self._schedule()

    def write_eof(self) -> None:
        """HTTP/2 ends both ways at once."""

    def close(self) -> None:
        self._closing = True
        self._schedule()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.leave)

    def leave(self) -> None:
        """What was said so far leaves as one piece; by itself at the end of the turn."""
        self._scheduled = False
        while self._deferred:
            deferred, self._deferred = self._deferred, []
            for flush in deferred:
                flush()
        transport = self._transport
        out, self._out = self._out, []
        if transport is None:
            return
        if out:
            transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self._closing:
            transport.close()

    # --- requests ----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """No new requests; closed when the open ones have ended."""
        if self._codec is not None:
            self._codec.drain()

    def _request(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        request = Http2Request(self, stream, head, end)
        stream.handler = request
        self.requests.add(request)
        request.start()

    def _violated(self, why: str) -> None:
        log.debug("an HTTP/2 connection was ended: from=%s error=%s", self.remote, why)
