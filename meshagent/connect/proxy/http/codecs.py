"""Which codec speaks on a connection: one row for each protocol.

Source: RFC 7301 (ALPN); RFC 9113 section 3.4 (the preface of HTTP/2). What may change here: rows.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.connect.proxy.http.h1.client import Http1ClientCodec
from meshagent.connect.proxy.http.h1.server import Http1ServerCodec
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.streams import ClientCodec, ServerCodec, Timers, Wire
from meshagent.connect.proxy.http2.client import Http2ClientCodec
from meshagent.connect.proxy.http2.server import Http2ServerCodec

__all__ = ["ALPN", "Detect", "client_codec", "server_codec"]

#: What is offered to the instances of an upstream, by its protocol.
ALPN = {"http": ("http/1.1",), "http2": ("h2",), "grpc": ("h2",)}
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def server_codec(protocol: str, wire: Wire, timers: Timers, manager: Manager) -> ServerCodec:
    """The codec that answers a client. `protocol` is what ALPN or the first bytes said: `h2` or `http/1.1`."""
    if protocol == "h2":
        return Http2ServerCodec(wire, timers, manager.on_request, lambda why: manager.on_refused(400, why))
    return Http1ServerCodec(wire, timers, manager.on_request, manager.on_refused)


def client_codec(protocol: str, wire: Wire, timers: Timers) -> ClientCodec:
    """The codec that asks a server."""
    if protocol == "h2":
        return Http2ClientCodec(wire, timers)
    return Http1ClientCodec(wire, timers)


class Detect:
    """A codec that waits for the first bytes of a client and then hands over to the one that they are for."""

    active = 0

    def __init__(self, wire: Wire, choose: Callable[[str], ServerCodec]) -> None:
        """`choose` is given `h2` or `http/1.1`; the codec it returns is already the connection's."""
        self._wire = wire
        self._choose = choose
        self._seen = b""
        self._draining = False

    def data_received(self, data: bytes) -> None:
        seen = self._seen = self._seen + data
        if len(seen) < len(_PREFACE) and _PREFACE.startswith(seen):
            return
        codec = self._choose("h2" if seen.startswith(_PREFACE) else "http/1.1")
        codec.data_received(seen)
        if self._draining:
            codec.drain()

    def eof_received(self) -> None:
        self._wire.close()

    def connection_lost(self, why: str) -> None:
        pass

    def writing_blocked(self) -> None:
        pass

    def writing_resumed(self) -> None:
        pass

    def drain(self) -> None:
        self._draining = True
        self._wire.close()
