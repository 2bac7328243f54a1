"""Which codec speaks on a connection: one row for each protocol.

Source: RFC 7301 (ALPN); RFC 9113 section 3.4 (the preface of HTTP/2). What may change here: rows.
"""

from __future__ import annotations

from meshagent.connect.proxy.http.h1.client import Http1ClientCodec
from meshagent.connect.proxy.http.h1.server import Http1ServerCodec
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.streams import ClientCodec, ServerCodec, Timers, Wire
from meshagent.connect.proxy.http2.client import Http2ClientCodec
from meshagent.connect.proxy.http2.server import Http2ServerCodec

__all__ = ["client_codec", "server_codec"]


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
