"""I/O edge: a connection whose first bytes say whose it is: TLS or not, with a PROXY header or without.

It stands before the real protocol only where there is a choice, so that the hot path knows nothing of it. What has come
is handed on with the connection.

Source: RFC 8446 section 5.1 (a TLS client begins with a handshake record); Envoy's TLS inspector and its
`listener_filters_timeout`. What may change here: nothing that reads more than the first bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from meshagent.connect.proxy.layers.tls import BUFFER_BYTES, IN

__all__ = ["Choose", "Peek", "Refuse", "Taker", "begins_tls"]

Taker = asyncio.Protocol | asyncio.BufferedProtocol
#: Given all that has come and whether nothing more is waited for: who takes the connection, and how many of the bytes
#: are not for him; None for "not known yet".
Choose = Callable[[bytes, bool], tuple[Taker, int] | None]

_HANDSHAKE, _CLIENT_HELLO, _MAJOR = 22, 1, 3


def begins_tls(data: bytes) -> bool | None:
    """Whether a client that begins so speaks TLS; None while that is not known.

    A record of type handshake, major version 3, with a ClientHello in it.
    """
    for at, wanted in ((0, _HANDSHAKE), (1, _MAJOR), (5, _CLIENT_HELLO)):
        if len(data) <= at:
            return None
        if data[at] != wanted:
            return False
    return True


class Peek(asyncio.Protocol):
    """Waits for the first bytes, `timeout_s` seconds at most; `choose` must not want more than some hundred of them."""

    def __init__(
        self,
        choose: Choose,
        timeout_s: float,
        on_closed: Callable[[Peek], None],
        known: Callable[[asyncio.Transport], Taker | None] = lambda _: None,
    ) -> None:
        """`on_closed` is called once, when the connection is handed on, and when it ends before; `known` may say whose
        a connection is before it has sent anything."""
        self._choose = choose
        self._known = known
        self._timeout_s = timeout_s
        self._on_closed = on_closed
        self._data = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        taker = self._known(stream)
        if taker is not None:
            self._hand_on(stream, taker)
            return
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._late)

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._decide(last=False)

    def eof_received(self) -> bool:
        found = self._decide(last=True)
        return found is not None and bool(found.eof_received())

    def connection_lost(self, error: Exception | None) -> None:
        self._end()

    def abort(self) -> None:
        """Cut it."""
        transport = self._transport
        self._end()
        if transport is not None:
            transport.abort()

    # --- inside ------------------------------------------------------------------------------------------------

    def _late(self) -> None:
        self._decide(last=True)

    def _decide(self, *, last: bool) -> Taker | None:
        transport = self._transport
        found = self._choose(self._data, last) if transport is not None else None
        if found is None or transport is None:
            if last:
                self.abort()
            return None
        taker, used = found
        self._hand_on(transport, taker)
        give(taker, self._data[used:])
        return taker

    def _hand_on(self, transport: asyncio.Transport, taker: Taker) -> None:
        self._end()
        transport.set_protocol(taker)
        taker.connection_made(transport)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport = None
            self._on_closed(self)


class Refuse(asyncio.Protocol):
    """For a connection that is not wanted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


def give(protocol: Taker, data: bytes) -> None:
    """Let a protocol receive `data`."""
    if isinstance(protocol, asyncio.BufferedProtocol):
        for at in range(0, len(data), BUFFER_BYTES):
            piece = data[at : at + BUFFER_BYTES]
            IN[: len(piece)] = piece
            protocol.buffer_updated(len(piece))
    elif data:
        protocol.data_received(data)
