"""I/O edge: one TLS connection with gRPC on it, dialed or accepted.

What arrives is a queue of events; reading stops while `MAX_QUEUED` of them wait, so that a peer that sends faster than
the log writes waits, too. A peer that does not read is left when `MAX_BUFFERED` bytes wait for it.

Source: design.md, "bounded sizes"; docs.python.org/3/library/asyncio-protocol. What may change here: bounds.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from meshagent.agent.peering.grpc import Closed, Event, GrpcConnection
from meshagent.errors import Unavailable
from meshagent.hostport import split_host_port

__all__ = ["DIAL_S", "MAX_BUFFERED", "MAX_QUEUED", "Channel", "dial"]

#: Until a connection is there with its TLS; Consul's dialers take 10 s for a whole call.
DIAL_S = 10.0
MAX_QUEUED = 64
MAX_BUFFERED = 16 * 1024 * 1024
ALPN = "h2"


class Channel(asyncio.Protocol):
    """One connection. `on_open` is called when it is there (accepted ones)."""

    def __init__(self, *, dials: bool, max_message: int, on_open: Callable[[Channel], None] | None = None) -> None:
        self.grpc = GrpcConnection(dials=dials, max_message=max_message)
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.remote = ""
        self._on_open = on_open
        self._transport: asyncio.Transport | None = None
        self._paused = False

    # --- asyncio -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self.flush()
        if self._on_open is not None:
            self._on_open(self)

    def data_received(self, data: bytes) -> None:
        for event in self.grpc.received(data):
            self.events.put_nowait(event)
            if isinstance(event, Closed):
                self.flush()
                self.close()
        self.flush()
        if self.events.qsize() > MAX_QUEUED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.events.put_nowait(Closed(f"the connection was lost{f': {error}' if error else ''}"))

    # --- what is done with it ----------------------------------------------------------------------------------

    async def next(self) -> Event:
        """The next event; after `Closed` there is none."""
        event = await self.events.get()
        if self._paused and self.events.qsize() <= MAX_QUEUED // 2:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        return event

    def flush(self) -> None:
        """Write what is to be written."""
        data = self.grpc.output()
        transport = self._transport
        if transport is None or not data:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_BUFFERED:
            transport.abort()

    def close(self) -> None:
        """End the connection, politely; what was written leaves first."""
        self.grpc.close()
        self.flush()
        if self._transport is not None:
            self._transport.close()


async def dial(address: str, context: ssl.SSLContext, server_name: str, max_message: int) -> Channel:
    """A connection to a server of the other side.

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
