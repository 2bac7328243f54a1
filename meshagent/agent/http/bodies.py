"""I/O edge: the body of a request, whole or as it comes.

Source: RFC 9110 section 10.1.1 (`Expect: 100-continue`). A whole body must be there in time and within its limit; an
upload has neither, but each part of it must come in time. What may change here: nothing a client could tell apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from meshagent.errors import TooLarge

if TYPE_CHECKING:
    from meshagent.agent.http.connection import Connection
    from meshagent.agent.http.exchange import Exchange

__all__ = ["body_pieces", "read_body"]


async def read_body(connection: Connection, exchange: Exchange, limit: int) -> bytes:
    """All of it. Raises TooLarge."""
    _go_on(connection, exchange)
    parts: list[bytes] = []
    size = 0
    while part := await exchange.payload.readany():
        size += len(part)
        if size > limit:
            raise TooLarge(f"Request body is larger than {limit} bytes")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def body_pieces(connection: Connection, exchange: Exchange) -> AsyncIterator[bytes]:
    """The body of an upload as it comes."""
    payload = exchange.payload
    _go_on(connection, exchange)
    while part := await payload.readany():
        if not payload.is_eof():
            connection.more_body_within(connection.server.settings.body_timeout_s)
        yield part


def _go_on(connection: Connection, exchange: Exchange) -> None:
    """Tell a client that asks first to send its body."""
    if exchange.message.headers.get("Expect", "").lower() == "100-continue" and connection.transport is not None:
        connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
