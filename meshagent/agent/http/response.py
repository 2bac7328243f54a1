"""What a handler answers: status, body, headers.

Handlers return values of these types and know nothing of sockets. The server adds what every answer carries (surface
rows C16, C17), indents JSON when asked (`?pretty`, C6), compresses (C28) and writes.

Source: surface rows C3, C6. What may change here: further constructors. JSON stays compact here: indenting belongs to
the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

__all__ = ["JSON", "TEXT", "Headers", "Response", "StreamingResponse", "encode_json", "json_response", "text_response"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

#: Names and values in the order they are written; names in Go's canonical case (`X-Consul-Contenthash`).
Headers = tuple[tuple[str, str], ...]

_ENCODER = msgspec.json.Encoder()


class Response:
    """A finished answer.

    `content_type` None writes no Content-Type at all (a KV miss). `close` ends the connection after the answer. `bare`
    leaves the meta headers of a read out.
    """

    __slots__ = ("bare", "body", "close", "content_type", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: Headers = (),
        content_type: str | None = TEXT,
        *,
        close: bool = False,
        bare: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.content_type = content_type
        self.close = close
        self.bare = bare


class StreamingResponse:
    """An answer in pieces, until the iterator ends or the client goes away (monitor, metrics stream, snapshots).

    `packed`: the pieces are compressed by their nature and sent as they are.
    """

    __slots__ = ("chunks", "content_type", "headers", "packed", "status")

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        status: int = 200,
        headers: Headers = (),
        content_type: str | None = TEXT,
        packed: bool = False,
    ) -> None:
        self.chunks = chunks
        self.packed = packed
        self.status = status
        self.headers = headers
        self.content_type = content_type


def encode_json(value: Any) -> bytes:
    """Compact JSON with Go's HTML escaping: `<`, `>`, `&`, U+2028 and U+2029 as \\u escapes (surface row C6)."""
    return escape_html(_ENCODER.encode(value))


def escape_html(body: bytes) -> bytes:
    """Go's HTML escaping of finished JSON: these characters can only stand inside strings."""
    if b"<" in body:
        body = body.replace(b"<", b"\\u003c")
    if b">" in body:
        body = body.replace(b">", b"\\u003e")
    if b"&" in body:
        body = body.replace(b"&", b"\\u0026")
    if b"\xe2\x80" in body:
        body = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return body


def json_response(value: Any, status: int = 200, headers: Headers = ()) -> Response:
    """`value` as JSON: builtins, msgspec structs (their field names are the JSON names)."""
    return Response(status, encode_json(value), headers, JSON)


def text_response(text: str, status: int = 200, headers: Headers = ()) -> Response:
    """Plain text, as it is: no newline is added."""
    return Response(status, text.encode("utf-8", "replace"), headers, TEXT)
