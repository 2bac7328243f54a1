"""I/O edge: two sockets joined, one of them with TLS: bytes both ways, half-close kept, memory bounded.

This is the hot path of layer 4: no event objects. A socket is read into one buffer that all connections share, and what
comes out is written to the other socket at once; only what the kernel does not take is copied and left to the
transport, whose flow control then stops the other side from being read.

Source: design.md "L4 is a byte pump and nothing else"; RFC 9293 section 3.6 (half-close). What may change here: only
with the bench (`bench/run.py --only mesh_l4`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from typing import cast

from meshagent.connect.proxy.idle import IdleWatch
from meshagent.connect.proxy.layers.tls import BUFFER_BYTES, CIPHER, IN, PLAIN, Tls
from meshagent.connect.proxy.telemetry.connections import Connection
from meshagent.errors import RemoteProtocolError

__all__ = ["IDLE_TIMEOUT_S", "Side", "address_of", "end_idle", "join"]

#: A connection over which nothing passes is ended (Envoy's TCP proxy: the same).
IDLE_TIMEOUT_S = 3600.0
#: What may wait for a slow reader before the other side is stopped.
_HIGH_WATER = 256 * 1024


#: Less than this is left to the transport, which writes once a turn of the loop: who waits at the other end is then
#: woken for several at once (8 % less CPU for each request).
_SMALL_BYTES = 16 * 1024


class Side(asyncio.BufferedProtocol):
    """One socket. Before it is joined, `on_ready` tells that it is connected (and its handshake done)."""

    __slots__ = (
        "_early",
        "_eof_in",
        "_eof_out",
        "_failed",
        "_fd",
        "closed",
        "noted",
        "on_closed",
        "on_ready",
        "other",
        "peer_address",
        "read_bytes",
        "timer",
        "tls",
        "transport",
    )

    def __init__(
        self,
        tls: Tls | None = None,
        on_ready: Callable[[Side], None] | None = None,
        on_closed: Callable[[Side, str], None] | None = None,
    ) -> None:
        self.tls = tls
        self.on_ready = on_ready
        self.on_closed = on_closed
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None
        #: Ends what takes too long: a handshake, an idle connection.
        self.timer: asyncio.TimerHandle | None = None
        self.closed = False
        #: "ip:port" of a peer that failed, for telemetry.
        self.peer_address = ""
        self.read_bytes = 0
        #: What telemetry knows of the connection, on the side of who dialled.
        self.noted: Connection | None = None
        self._fd = -1
        self._early: list[bytes] = []
        self._eof_in = False
        self._eof_out = False
        self._failed = ""

    # --- what the transport says -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        stream.set_write_buffer_limits(_HIGH_WATER)
        handle = transport.get_extra_info("socket")
        if handle is not None:
            self._fd = handle.fileno()
            if handle.family != socket.AF_UNIX:
                handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.tls is None:
            self._ready()
        else:
            self.tls.start()
            self._flush()

    def get_buffer(self, _hint: int) -> memoryview:
        return IN

    def buffer_updated(self, size: int) -> None:
        """`size` bytes are in `IN`, until this returns."""
        tls, other = self.tls, self.other
        if tls is not None:
            if tls.ready:
                self._take(tls, size)
            else:
                self._shake(tls, size)
        elif other is None:
            self._early.append(bytes(IN[:size]))
        elif not (other._eof_out or other.closed):
            self.read_bytes += size
            tls = other.tls
            if tls is None:
                other._put(IN, size)
            else:
                other._put(CIPHER, tls.give(size))

    def eof_received(self) -> bool:
        tls = self.tls
        if tls is not None and not tls.ready:
            self.fail("TLS handshake failed: the peer went away")
            return False
        self._ended()
        return not self.closed

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._fd = -1
        other = self.other
        if self.timer is not None:
            self.timer.cancel()
        if self.on_closed is not None:
            self.on_closed(self, self._failed or (str(error) if error is not None else ""))
        self.on_ready = self.on_closed = self.other = None  # no cycle is left behind
        if other is not None and not other.closed:
            if error is not None or not (self._eof_in and self._eof_out):
                other.abort()  # a reset, or an end in the middle: the peer must not take it for a proper one
            else:
                other.close()

    def pause_writing(self) -> None:
        other = self.other
        if other is not None and other.transport is not None and not other.closed:
            other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        if other is not None and other.transport is not None and not other.closed:
            other.transport.resume_reading()

    # --- what the other side says ------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write plain text."""
        transport = self.transport
        if transport is None or self.closed or self._eof_out:
            return
        if self.tls is None:
            transport.write(data)
        else:
            self.tls.write(data)
            transport.write(self.tls.outgoing())

    def send_eof(self) -> None:
        """Write no more; what the peer still sends is read."""
        transport = self.transport
        if transport is None or self.closed or self._eof_out:
            return
        self._eof_out = True
        if self.tls is not None:
            self.tls.close_write()
            self._flush()
        elif transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:  # the peer has gone already
                self.abort()
                return
        if self._eof_in:
            self.close()

    def close(self) -> None:
        """Close after what is to be written has left."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        """Close at once, with a reset."""
        if self.transport is not None:
            self.transport.abort()

    def fail(self, why: str) -> None:
        """Close because of the peer."""
        if not self._failed:
            self._failed = why
            self.peer_address = address_of(self.transport)
        self.close()

    def pause(self) -> None:
        """Read no more until joined."""
        if self.transport is not None and not self.closed:
            self.transport.pause_reading()

    # --- inside ------------------------------------------------------------------------------------------------

    def _put(self, view: memoryview, size: int) -> None:
        """Write the first `size` bytes: at once what the kernel takes, the rest through the transport."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if size < _SMALL_BYTES or self._fd < 0 or transport.get_write_buffer_size():
            transport.write(bytes(view[:size]))
            return
        try:
            taken = os.write(self._fd, view[:size])
        except OSError:  # full, or lost: the transport finds out which
            taken = 0
        if taken != size:
            transport.write(bytes(view[taken:size]))

    def _take(self, tls: Tls, size: int) -> None:
        try:
            found = tls.take(size)
            other = self.other
            while found:
                self.read_bytes += found
                if other is None:
                    self._early.append(bytes(PLAIN[:found]))
                elif not (other._eof_out or other.closed):
                    other._put(PLAIN, found)
                if found < BUFFER_BYTES:
                    break
                found = tls.more()
        except RemoteProtocolError as error:
            self._flush()
            self.fail(str(error))
            return
        if tls.eof:
            self._ended()

    def _shake(self, tls: Tls, size: int) -> None:
        try:
            chunks = tls.feed(bytes(IN[:size]))
        except RemoteProtocolError as error:
            self._flush()
            self.fail(str(error))
            return
        self._early += chunks
        if not tls.ready:
            self._flush()
            return
        self._ready()
        if not tls.context.server_side:
            self._flush()  # unless it went with a request; a server's tickets go with its first answer
        if tls.eof:
            self._ended()

    def _ready(self) -> None:
        if self.on_ready is not None:
            self.on_ready(self)

    def _ended(self) -> None:
        if self._eof_in:
            return
        self._eof_in = True
        other = self.other
        if other is not None:
            other.send_eof()
            if self._eof_out:
                self.close()

    def _flush(self) -> None:
        if self.tls is not None and self.transport is not None and not self.transport.is_closing():
            data = self.tls.outgoing()
            if data:
                self.transport.write(data)

    def _joined(self) -> None:
        other = self.other
        early, self._early = self._early, []
        if other is not None:
            for data in early:
                other.send(data)
            if self._eof_in:
                other.send_eof()
        if self.transport is not None and not self.closed:
            self.transport.resume_reading()


def address_of(transport: asyncio.Transport | None) -> str:
    """The peer's "ip:port"; "" of a Unix socket, and when there is none any more."""
    name = transport.get_extra_info("peername") if transport is not None else None
    if not isinstance(name, tuple):
        return ""
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def end_idle(watch: IdleWatch[Side], sides: Iterable[Side], now: float, limit_ms: int | None) -> None:
    """End the joined connections over which nothing has passed for the limit, which is an hour when it is None."""
    limit_s = IDLE_TIMEOUT_S if limit_ms is None else limit_ms / 1000.0
    joined = [(side, side.read_bytes + side.other.read_bytes) for side in sides if side.other is not None]
    for side in watch.look(joined, now, limit_s):
        side.fail("idle timeout")


def join(one: Side, two: Side) -> None:
    """Let what comes in at one side go out at the other. Both must be ready."""
    one.other, two.other = two, one
    one._joined()
    two._joined()
