"""I/O edge: one connection that speaks HTTP: a socket, maybe TLS, and a codec in between.

What codecs write while an event is handled is gathered and leaves as one piece when it has been handled (`Turn`): a
head and its body are one TLS record and one system call. A connection that is closed says so, and hears its peer out
for a while, so that the last answer is not lost to a reset.

Source: `streams.Wire`; RFC 9112 section 9.6 (closing). What may change here: bounds, with the bench.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer, Timer
from meshagent.connect.proxy.http.timers import STEP_S, TimerWheel
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.pump import address_of
from meshagent.errors import RemoteProtocolError

__all__ = ["HttpConnection", "Turn"]

#: What may wait for a slow reader before the other side is stopped.
_HIGH_WATER = 256 * 1024
#: How long a peer is heard out after the last answer.
_LINGER_S = 2.0


class Turn:
    """What one event loop's connections share: the timers, and what is to be written at the end of an event."""

    __slots__ = ("_loop", "_scheduled", "dirty", "inside", "timers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.timers = TimerWheel(loop.time, self._start_timers)
        self.dirty: list[HttpConnection] = []
        #: An event is being handled: whoever began it flushes.
        self.inside = False
        self._scheduled = False

    def flush(self) -> None:
        """Write what was gathered."""
        dirty = self.dirty
        while dirty:
            dirty.pop().flush()
        self.inside = False

    def soon(self) -> None:
        """Something was written outside an event of a connection."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._later)

    def defer(self, flush: Callable[[], None]) -> None:
        """Call when all that is ready in this round of the loop has been handled, then write."""
        self._loop.call_soon(self._deferred, flush)

    def _deferred(self, flush: Callable[[], None]) -> None:
        self.inside = True
        flush()
        self.flush()

    def _later(self) -> None:
        self._scheduled = False
        self.flush()

    def _start_timers(self) -> None:
        self._loop.call_later(STEP_S, self._tick)

    def _tick(self) -> None:
        self.inside = True
        self.timers.advance()
        self.flush()
        if self.timers.pending:
            self._loop.call_later(STEP_S, self._tick)


class HttpConnection(asyncio.Protocol):
    """`Wire` of one codec. `on_ready` is called when it is connected (and its handshake done) and gives the codec, or
    None to close it."""

    __slots__ = (
        "_closing",
        "_on_lost",
        "_on_ready",
        "_paused",
        "_pending",
        "_turn",
        "_written_eof",
        "codec",
        "failed_address",
        "failure",
        "lost",
        "peer",
        "timer",
        "tls",
        "transport",
    )

    def __init__(
        self,
        turn: Turn,
        tls: Tls | None,
        on_ready: Callable[[HttpConnection], ConnectionCodec | None],
        on_lost: Callable[[HttpConnection], None] | None = None,
    ) -> None:
        self._turn = turn
        self.tls = tls
        self._on_ready = on_ready
        self._on_lost = on_lost
        self.peer = Peer()
        self.codec: ConnectionCodec | None = None
        self.transport: asyncio.Transport | None = None
        self._pending: list[bytes] = []
        self._paused = False
        self._closing = False
        self._written_eof = False
        self.lost = False
        #: Ends a handshake that takes too long; whoever set it cancels it, for it holds the connection.
        self.timer: Timer | None = None
        #: Why the handshake failed, and of whom ("ip:port").
        self.failure = ""
        self.failed_address = ""

    # --- what the transport says -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        stream.set_write_buffer_limits(_HIGH_WATER)
        handle = transport.get_extra_info("socket")
        if handle is not None and handle.family != socket.AF_UNIX:
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.tls is None:
            self._ready()
            self._turn.flush()
        else:
            self.tls.start()
            self._send_tls()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        turn = self._turn
        turn.inside = True
        tls = self.tls
        if tls is None:
            codec = self.codec
            if codec is not None:
                codec.data_received(data)
        else:
            self._decrypt(tls, data)
        turn.flush()

    def eof_received(self) -> bool:
        if self._closing or self.codec is None:
            return False
        self._turn.inside = True
        tls = self.tls
        if tls is None or not tls.eof:
            if tls is not None:
                for chunk in tls.feed_eof():
                    self.codec.data_received(chunk)
            self.codec.eof_received()
        self._turn.flush()
        return not self.lost

    def connection_lost(self, error: Exception | None) -> None:
        if self.lost:
            return
        self.lost = True
        self._pending.clear()
        self._turn.inside = True
        if self.codec is not None:
            self.codec.connection_lost(str(error) if error is not None else "")
        if self._on_lost is not None:
            self._on_lost(self)
        self._turn.flush()

    def pause_writing(self) -> None:
        if self.codec is not None and not self._closing:
            self.codec.writing_blocked()

    def resume_writing(self) -> None:
        if self.codec is not None and not self._closing:
            self._turn.inside = True
            self.codec.writing_resumed()
            self._turn.flush()

    def fail(self, why: str) -> None:
        """The handshake does not come about."""
        if not self.failure:
            self.failure, self.failed_address = why, self.address

    @property
    def address(self) -> str:
        """The peer's "ip:port"; "" of a Unix socket."""
        return address_of(self.transport)

    # --- Wire --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        pending = self._pending
        if not pending:
            turn = self._turn
            turn.dirty.append(self)
            if not turn.inside:
                turn.soon()
        pending.append(data)

    def flush(self) -> None:
        """Write what was gathered; the turn calls it."""
        pending = self._pending
        transport = self.transport
        if not pending or transport is None or self.lost or self._written_eof:
            pending.clear()
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        if self.tls is not None:
            self.tls.write(data)
            data = self.tls.outgoing()
        transport.write(data)

    def defer(self, flush: Callable[[], None]) -> None:
        self._turn.defer(flush)

    def write_eof(self) -> None:
        self.flush()
        transport = self.transport
        if self._written_eof or transport is None or self.lost:
            return
        self._written_eof = True
        if self.tls is not None:
            self.tls.close_write()
            self._send_tls()
        elif transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:  # the peer has gone already
                transport.abort()

    def close(self) -> None:
        transport = self.transport
        if self._closing or transport is None or self.lost:
            return
        self.write_eof()
        self._closing = True
        if self._paused:
            transport.resume_reading()
        if self.tls is not None and transport.can_write_eof() and not transport.is_closing():
            try:
                transport.write_eof()
            except OSError:
                transport.abort()
        self._turn.timers.after(_LINGER_S, self._end)

    def abort(self) -> None:
        self._closing = True
        if self.transport is not None and not self.lost:
            self.flush()
            self.transport.abort()

    def pause_reading(self) -> None:
        if not self._paused and self.transport is not None and not self.lost and not self._closing:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and self.transport is not None and not self.lost:
            self._paused = False
            self.transport.resume_reading()

    # --- inside ------------------------------------------------------------------------------------------------

    def _decrypt(self, tls: Tls, data: bytes) -> None:
        was_ready = tls.ready
        try:
            chunks = tls.feed(data)
        except RemoteProtocolError as error:
            self.fail(str(error))
            self._send_tls()
            self._closing = True
            if self.transport is not None:
                self.transport.close()
            return
        if not was_ready:
            self._send_tls()
            if not tls.ready:
                return
            self._ready()
        for chunk in chunks:
            if self.codec is None or self._closing:
                return
            self.codec.data_received(chunk)
        if tls.eof and self.codec is not None and not self._closing:
            self.codec.eof_received()

    def _ready(self) -> None:
        codec = self._on_ready(self)
        if codec is None:
            self._closing = True
            if self.transport is not None:
                self.transport.close()
        self.codec = codec

    def _send_tls(self) -> None:
        if self.tls is not None and self.transport is not None and not self.lost:
            data = self.tls.outgoing()
            if data:
                self.transport.write(data)

    def _end(self) -> None:
        if self.transport is not None and not self.lost:
            self.transport.close()
