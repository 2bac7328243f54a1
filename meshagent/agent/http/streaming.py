"""I/O edge: answers that come in pieces (monitor, metrics stream, snapshots), as chunked HTTP/1.1.

Each piece is flushed at once, compressed when the client takes gzip (surface row C28: streams of any size).

Source: RFC 9112 section 7.1; surface rows A23, A24, C28. What may change here: nothing a client could tell apart.
"""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.wire import header_block, status_line
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.http.connection import Connection
    from meshagent.agent.http.exchange import Exchange
    from meshagent.agent.http.server import HttpServer

__all__ = ["send_stream"]

log = logging.getLogger("agent.http")


async def send_stream(
    connection: Connection, exchange: Exchange, response: StreamingResponse, server: HttpServer
) -> None:
    """Write `response` until it ends or the client goes; then the connection is to be closed."""
    chunked = exchange.message.version >= (1, 1)
    packer = None
    if chunked and not response.packed and "gzip" in exchange.message.headers.get("Accept-Encoding", ""):
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    lines = [status_line(response.status)]
    if packer is not None:
        lines.append(b"Content-Encoding: gzip\r\n")
    if response.content_type is not None:
        lines.append(f"Content-Type: {response.content_type}\r\n".encode())
    lines += [server.dispatcher.always, header_block(response.headers), b"Connection: close\r\n"]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    lines.append(server.date.line)
    _write(connection, b"".join(lines))
    try:
        async for piece in response.chunks:
            if packer is not None:
                piece = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
            if piece:
                _write(connection, _chunk(piece) if chunked else piece)
                await connection._drain_helper()
    except MeshError as error:
        log.error("an answer broke off: from=%s error=%s", connection.remote, error)
        connection.force_close()  # without its last chunk: the client sees that something is missing
        return
    finally:
        close = getattr(response.chunks, "aclose", None)
        if close is not None:
            await close()
    if packer is not None:
        _write(connection, _chunk(packer.flush()))
    if chunked:
        _write(connection, b"0\r\n\r\n")


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _write(connection: Connection, data: bytes) -> None:
    transport = connection.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    transport.write(data)
