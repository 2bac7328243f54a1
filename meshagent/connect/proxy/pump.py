"""I/O edge: two sockets joined, at least one of them with TLS: bytes both ways, half-close kept, memory bounded.

A side is the protocol of its transport until it is joined: connect, handshake, what comes early. From then on its
socket is read by the relay (`relay.py`), the hot path of layer 4, and the transport only writes what the kernel did not
take at once, and closes.

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
from meshagent.connect.proxy.layers.tls import BUFFER_BYTES, IN, PLAIN, Tls
from meshagent.connect.proxy.relay import Relay, relay_of
from meshagent.connect.proxy.telemetry.connections import Connection
from meshagent.errors import RemoteProtocolError

__all__ = ["IDLE_TIMEOUT_S", "Side", "address_of", "end_idle", "join"]

#: A connection over which nothing passes is ended (Envoy's TCP proxy: the same).
IDLE_TIMEOUT_S = 3600.0


class Side(asyncio.BufferedProtocol):
    """One socket. Before it is joined, `on_ready` tells that it is connected (and its handshake done)."""

    __slots__ = (
        "_early",
        "_eof_in",
        "_eof_out",
        "_failed",
        "_fd",
        "_full",
        "_relay",
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
        #: Who reads the socket once it is joined; whether it takes no more for now.
        self._relay: Relay | None = None
        self._full = False
        self._early: list[bytes] = []
        self._eof_in = False
        self._eof_out = False
        self._failed = ""

    # --- what the transport says -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
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
        """`size` bytes are in `IN`, until this returns. None come here once it is joined."""
        tls = self.tls
        if tls is None:
            self._early.append(bytes(IN[:size]))
        elif not tls.ready:
            self._shake(tls, size)
        else:
            self._take(tls, size)

    def eof_received(self) -> bool:
        tls = self.tls
        if tls is not None and not tls.ready:
            self.fail("TLS handshake failed: the peer went away")
            return False
        self.ended()
        return not self.closed

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._leave()
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
        self._full = True
        other = self.other
        if other is not None and other._relay is not None:
            other._relay.hold(other._fd)

    def resume_writing(self) -> None:
        self._full = False
        other = self.other
        if other is not None:
            other._read()

    # --- what the relay says -----------------------------------------------------------------------------------

    def put(self, view: memoryview, size: int) -> None:
        """Write the first `size` bytes: at once what the kernel takes, the rest through the transport."""
        transport = self.transport
        if transport is None or self._eof_out or self.closed or transport.is_closing():
            return
        taken = 0
        if not self._full:
            try:
                taken = os.write(self._fd, view[:size])
            except OSError:  # full, or lost: the transport finds out which
                taken = 0
        if taken != size:
            transport.write(bytes(view[taken:size]))

    def pour(self, found: int) -> None:
        """The first `found` bytes of `PLAIN` are for the other side, and what follows them. Raises
        RemoteProtocolError."""
        tls, other = self.tls, self.other
        if tls is None or other is None:
            return
        while found:
            self.read_bytes += found
            if other.tls is None:
                other.put(PLAIN, found)
            else:
                other.send(bytes(PLAIN[:found]))
            if found < BUFFER_BYTES:
                break
            found = tls.more()
        if tls.eof:
            self.ended()

    def ended(self) -> None:
        """Nothing more comes from the peer."""
        if self._eof_in:
            return
        self._eof_in = True
        if self._relay is not None:
            self._relay.hold(self._fd)
        other = self.other
        if other is not None:
            other.send_eof()
            if self._eof_out:
                self.close()

    def lost(self, error: OSError) -> None:
        """The connection was reset, or cannot be read: the other side is reset too."""
        self._failed = self._failed or str(error)
        other = self.other
        self.abort()
        if other is not None:
            other.abort()

    def broken(self, why: str) -> None:
        """What passes between the two is no TLS."""
        side = self if self.tls is not None else self.other
        if side is not None:
            side._flush()
            side.fail(why)

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
        self._leave()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        """Close at once, with a reset."""
        self._leave()
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

    def _take(self, tls: Tls, size: int) -> None:
        try:
            found = tls.take(size)
            while found:
                self.read_bytes += found
                self._early.append(bytes(PLAIN[:found]))
                if found < BUFFER_BYTES:
                    break
                found = tls.more()
        except RemoteProtocolError as error:
            self._flush()
            self.fail(str(error))
            return
        if tls.eof:
            self.ended()

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
        if tls.is_awaited:
            self._flush()
        self._ready()
        if not tls.context.server_side or tls.speaks_last:
            self._flush()  # unless it went with a request; a server's tickets go with its first answer
        if tls.eof:
            self.ended()

    def _ready(self) -> None:
        if self.on_ready is not None:
            self.on_ready(self)

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
        transport = self.transport
        if transport is None or other is None or self.closed or transport.is_closing():
            return
        transport.pause_reading()
        transport.set_write_buffer_limits(0)
        self._relay = relay_of(asyncio.get_running_loop())
        self._relay.add(self._fd, self)
        self._read()

    def _read(self) -> None:
        """Let the relay read, unless there is nothing to come or the other side is full."""
        other = self.other
        if self._relay is not None and other is not None and not (self._eof_in or other._full or other._fd < 0):
            self._relay.read(self._fd, other._fd)

    def _leave(self) -> None:
        """Nothing is read from now on, and nothing written but what waits."""
        relay, other = self._relay, self.other
        if relay is not None:
            self._relay = None
            relay.remove(self._fd)
            if other is not None:
                relay.hold(other._fd)


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
