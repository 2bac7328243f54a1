"""I/O edge: who comes in over TLS speaks HTTP/2 or HTTP/1.1, as the handshake said (ALPN).

Once it is known, the connection belongs to its protocol and this object is gone: HTTP/1.1 pays nothing for the choice,
and HTTP/2 is imported with its first client.

Source: RFC 7301, RFC 9113 section 3.3; surface row C31. What may change here: a further protocol is one more branch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from meshagent.agent.http.connection import Connection

if TYPE_CHECKING:
    from meshagent.agent.http.server import HttpServer

__all__ = ["ALPN", "Door"]

#: In the order of our preference.
ALPN = ("h2", "http/1.1")


class Door(asyncio.Protocol):
    """A connection whose handshake has just ended."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls: Any = transport.get_extra_info("ssl_object")
        chosen: asyncio.Protocol
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            from meshagent.agent.http.http2_connection import Http2Connection

            chosen = Http2Connection(self._server)
        else:
            chosen = cast("asyncio.Protocol", Connection(self._server, asyncio.get_running_loop()))
        cast("asyncio.Transport", transport).set_protocol(chosen)
        chosen.connection_made(transport)
