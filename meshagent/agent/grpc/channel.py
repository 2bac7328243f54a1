"""I/O edge: one connection with gRPC on it, dialed or accepted, and the calls on it.

What arrives waits in the queue of its call; reading stops while `MAX_QUEUED` messages wait, so that who sends faster
than what he sends is taken waits, too. Who does not read is left when `MAX_BUFFERED` bytes wait for him; who says
nothing, when a ping is not answered.

Source: design.md, "bounded sizes"; docs.python.org/3/library/asyncio-protocol; grpc.io "Keepalive". What may change
here: bounds.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from meshagent.agent.grpc.connection import (
    MAX_CALLS,
    MAX_UNSENT,
    OK,
    UNAVAILABLE,
    Called,
    Closed,
    Event,
    Finished,
    GrpcConnection,
    Received,
)
from meshagent.errors import Unavailable
from meshagent.hostport import split_host_port

if TYPE_CHECKING:
    from meshagent.clock import Clock

__all__ = ["ALPN", "DIAL_S", "MAX_BUFFERED", "MAX_QUEUED", "Call", "Channel", "Heard", "Keepalive", "dial"]

#: Until a connection is there with its TLS; Consul's dialers take 10 s for a whole call.
DIAL_S = 10.0
MAX_QUEUED = 64
MAX_BUFFERED = 16 * 1024 * 1024
ALPN = "h2"

Heard = Received | Finished | Closed


@dataclass(frozen=True, slots=True)
class Keepalive:
    """After `interval_s` of silence the other side is pinged, after `timeout_s` more it is left."""

    clock: Clock
    interval_s: float
    timeout_s: float


class Call:
    """One call, from either side."""

    __slots__ = ("_back", "_channel", "_drained", "asked", "events", "metadata", "method", "number", "on_gone", "over")

    def __init__(self, channel: Channel, number: int, method: str, metadata: dict[str, str]) -> None:
        self._channel = channel
        self._back: Heard | None = None
        self._drained: asyncio.Event | None = None
        self.number = number
        self.method = method
        self.metadata = metadata
        self.events: asyncio.Queue[Heard] = asyncio.Queue()
        #: What is done when the other side is gone before the end.
        self.on_gone: Callable[[], object] | None = None
        #: Nothing more can be sent; a whole message has come.
        self.over = self.asked = False

    @property
    def remote(self) -> str:
        """Who is on the other side, "" on a Unix socket."""
        return self._channel.remote

    @property
    def tls(self) -> ssl.SSLObject | None:
        """That of the connection, None in plain text."""
        return self._channel.tls

    @property
    def token(self) -> str:
        """The token that the caller shows, "" for none."""
        bearer = self.metadata.get("authorization", "")
        return self.metadata.get("x-consul-token") or (bearer[7:] if bearer[:7].lower() == "bearer " else "")

    @property
    def unsent(self) -> int:
        """Bytes that wait for the other side to take them."""
        return self._channel.grpc.unsent(self.number)

    async def next(self) -> Heard:
        """The next message, or the end; after `Closed`, or a `Finished` of the called side, there is none."""
        back, self._back = self._back, None
        if back is not None:
            return back
        event = await self.events.get()
        if isinstance(event, Received) and event.call == self.number:
            self._channel.taken()
        return event

    def back(self, event: Heard) -> None:
        """Let `next` give this once more."""
        self._back = event

    async def message(self) -> bytes | None:
        """The next message; None when there is none to come."""
        event = await self.next()
        return event.message if isinstance(event, Received) else None

    def allow(self, max_message: int) -> None:
        """Messages of the other side may have so many bytes."""
        self._channel.grpc.allow(self.number, max_message)

    def known(self) -> None:
        """The other side has shown who it is."""
        self._channel.known()

    def send(self, message: bytes) -> None:
        """Send a message; nothing happens when the call is over."""
        self._channel.grpc.send(self.number, message)
        self._channel.flush()

    async def drained(self) -> None:
        """Return when little waits to be sent, or the call is over: what to wait for before more is sent."""
        while not self.over and self.unsent >= MAX_UNSENT:
            self._drained = self._drained or asyncio.Event()
            self._drained.clear()
            await self._drained.wait()

    def moved(self) -> None:
        """The other side has taken something, or is gone."""
        if self._drained is not None:
            self._drained.set()

    def end(self) -> None:
        """The caller sends no more."""
        self._channel.grpc.end(self.number)
        self._channel.flush()

    def finish(self, code: int = OK, text: str = "") -> None:
        """The called side ends the call."""
        self.on_gone = None
        if not self.over:
            self._channel.finish(self, code, text)

    def cancel(self) -> None:
        """The caller wants no more of it."""
        self._channel.cancel(self)

    def close(self) -> None:
        """End the whole connection."""
        self._channel.close()


class Channel(asyncio.Protocol):
    """One connection. `on_open` is called when it is there, `on_call` with each call of the other side, `on_known` when
    that has shown who it is, `on_lost` at the end."""

    def __init__(
        self,
        *,
        dials: bool,
        max_message: int,
        max_calls: int = MAX_CALLS,
        limit_of: Callable[[str], int] | None = None,
        keepalive: Keepalive | None = None,
    ) -> None:
        self.remote = ""
        self.calls: dict[int, Call] = {}
        self.on_open: Callable[[Channel], None] | None = None
        self.on_call: Callable[[Call], None] | None = None
        self.on_known: Callable[[Channel], None] | None = None
        self.on_lost: Callable[[Channel], None] | None = None
        self.closed = False
        self._make: Callable[[], GrpcConnection] = partial(
            GrpcConnection, dials=dials, max_message=max_message, max_calls=max_calls, limit_of=limit_of
        )
        self._grpc: GrpcConnection | None = None
        self._dials = dials
        self._keepalive = keepalive
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._queued = 0
        self._paused = False

    @property
    def grpc(self) -> GrpcConnection:
        """The machine, made when there is something to say: a probe that only connects costs nothing."""
        if self._grpc is None:
            self._grpc = self._make()
        return self._grpc

    @property
    def tls(self) -> ssl.SSLObject | None:
        """That of the connection, None in plain text."""
        return self._transport.get_extra_info("ssl_object") if self._transport is not None else None

    # --- asyncio -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        if self.on_open is not None:
            self.on_open(self)
        if self.closed:
            return
        if self._dials:
            self._write(self.grpc)
        if self._keepalive is not None and self._keepalive.interval_s > 0:
            self._heard_at = self._keepalive.clock.monotonic()
            self._look_in(self._keepalive.interval_s)

    def data_received(self, data: bytes) -> None:
        if self._keepalive is not None:
            self._heard_at = self._keepalive.clock.monotonic()
        lost = ""
        for event in self.grpc.received(data):
            if isinstance(event, Closed):
                lost = event.reason
            else:
                self._arrived(event)
        self.flush()
        for call in self.calls.values():
            call.moved()
        if lost:
            self.close(lost)
        if self._queued > MAX_QUEUED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._end(f"the connection was lost{f': {error}' if error else ''}")

    def _arrived(self, event: Event) -> None:
        if isinstance(event, Called):
            call = self.calls[event.call] = Call(self, event.call, event.method, event.metadata)
            if self.on_call is not None:
                self.on_call(call)
            return
        held = self.calls.get(event.call) if not isinstance(event, Closed) else None
        if held is None:
            return
        if isinstance(event, Received):
            held.asked = True
            self._queued += 1
        elif isinstance(event, Finished) and not self.grpc.is_open(event.call):
            self._over(held)
        held.events.put_nowait(event)

    def _over(self, call: Call) -> None:
        """Nothing is sent on it any more."""
        call.over = True
        self.calls.pop(call.number, None)
        call.moved()
        if call.on_gone is not None:
            call.on_gone()

    # --- silence -----------------------------------------------------------------------------------------------

    def _look_in(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        keepalive = self._keepalive
        if keepalive is None or self._transport is None:
            return
        silent_s = keepalive.clock.monotonic() - self._heard_at
        if self._paused or silent_s < keepalive.interval_s:
            self._look_in(max(keepalive.interval_s - silent_s, 1.0))
        elif silent_s < keepalive.interval_s + keepalive.timeout_s:
            self.grpc.ping()
            self.flush()
            self._look_in(keepalive.timeout_s)
        else:
            self._transport.abort()

    # --- what is done with it ----------------------------------------------------------------------------------

    def call(self, method: str, authority: str, metadata: Sequence[tuple[str, str]] = ()) -> Call:
        """Call a method of the other side. Raises LocalProtocolError when the connection is closed."""
        scheme = "http" if self.tls is None else "https"
        number = self.grpc.call(method, authority, metadata, scheme=scheme)
        made = self.calls[number] = Call(self, number, method, dict(metadata))
        self.flush()
        return made

    def taken(self) -> None:
        """A message has left its queue."""
        self._queued -= 1
        if self._paused and self._queued <= MAX_QUEUED // 2:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def known(self) -> None:
        """The other side has shown who it is."""
        if self.on_known is not None:
            self.on_known(self)

    def finish(self, call: Call, code: int, text: str) -> None:
        """As `Call.finish`."""
        self._forget(call)
        self.grpc.finish(call.number, code, text)
        self.flush()

    def cancel(self, call: Call) -> None:
        """As `Call.cancel`."""
        self._forget(call)
        self.grpc.cancel(call.number)
        self.flush()

    def _forget(self, call: Call) -> None:
        """What waits in its queue is not taken any more."""
        self._over(call)
        while not call.events.empty():
            event = call.events.get_nowait()
            if isinstance(event, Received) and event.call == call.number:
                self.taken()

    def flush(self) -> None:
        """Write what is to be written."""
        if self._grpc is not None:
            self._write(self._grpc)

    def _write(self, grpc: GrpcConnection) -> None:
        data = grpc.output() if self._transport is not None else b""
        if self._transport is None or not data:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_BUFFERED:
            self._transport.abort()

    def close(self, reason: str = "the connection was closed here") -> None:
        """End the connection, politely; what was written leaves first."""
        if self._grpc is not None:
            self._grpc.close()
            self.flush()
        if self._transport is not None:
            self._transport.close()
        self._end(reason)

    def abort(self) -> None:
        """End the connection at once: grpcio waits for 20 s where TLS is ended politely before anything was said."""
        transport = self._transport
        self._end("the connection was refused")
        if transport is not None:
            asyncio.get_running_loop().call_soon(transport.abort)

    def shut(self, text: str) -> None:
        """The same for the called side that ends: its calls end with UNAVAILABLE, so that the callers go elsewhere."""
        for call in list(self.calls.values()):
            call.events.put_nowait(Closed(text))
            self.grpc.finish(call.number, UNAVAILABLE, text)
            self._over(call)
        self.close(text)

    def _end(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for call in list(self.calls.values()):
            call.events.put_nowait(Closed(reason))
            self._over(call)
        if not self.closed:
            self.closed = True
            if self.on_lost is not None:
                self.on_lost(self)


async def dial(address: str, context: ssl.SSLContext, server_name: str, max_message: int) -> Channel:
    """A connection to a server of another cluster.

    Raises:
        Unavailable: there is none within `DIAL_S`, or it is not the server it should be.
    """
    host, port = split_host_port(address, 8503)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(DIAL_S):
            _, channel = await loop.create_connection(
                lambda: Channel(dials=True, max_message=max_message),
                host,
                port,
                ssl=context,
                server_hostname=server_name,
            )
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(f"{address} is not a server of the peer: {error.verify_message}") from error
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"{address} cannot be reached: {error or 'no answer'}") from error
    return channel
