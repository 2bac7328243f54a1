"""Bodies of HTTP/1.1 messages from bytes: of a known length, in chunks, or up to the end of the connection.

A decoder takes what has come and says what of it is body; what follows the body is left over. Chunk extensions are
read and forgotten; trailers that could change the message's framing or routing are dropped.

Source: RFC 9112 sections 6.3, 7.1; RFC 9110 section 6.5.1. What may change here: limits.
"""

from __future__ import annotations

import re
from typing import Protocol

from meshagent.connect.proxy.http.h1.heads import MAX_HEAD_BYTES, BadMessage, parse_fields
from meshagent.connect.proxy.http.messages import Headers

__all__ = ["Body", "Chunked", "Sized", "UntilEnd"]

#: A chunk's first line: 16 digits and a short extension (extensions are a way to send much that means nothing).
_MAX_SIZE_LINE = 256
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_NO_TRAILERS = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"max-forwards",
        b"proxy-authorization",
        b"range",
        b"set-cookie",
        b"te",
        b"x-forwarded-client-cert",
    }
)


class Body(Protocol):
    """One body. `done` once it is complete; `trailers` belong to it then (empty without any)."""

    done: bool
    trailers: Headers

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take bytes: the pieces of the body in them, and what is not (yet) of the body: kept by the caller and put
        in front of the next bytes while not `done`, the next message after. Raises BadMessage."""


class Sized:
    """So many bytes."""

    __slots__ = ("done", "left", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.trailers: Headers = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        left = self.left
        if len(data) < left:
            self.left = left - len(data)
            return [data], b""
        self.left, self.done = 0, True
        if len(data) == left:
            return [data], b""
        return [data[:left]], data[left:]


class UntilEnd:
    """All that comes. The caller sets `done` when the connection ends properly."""

    __slots__ = ("done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: Headers = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        return [data], b""


class Chunked:
    """Chunks, and trailers behind them."""

    __slots__ = ("_in_trailers", "_left", "done", "trailers")

    def __init__(self) -> None:
        #: Bytes of the present chunk that are to come, with the CRLF behind them; 0: a size comes.
        self._left = 0
        self._in_trailers = False
        self.done = False
        self.trailers: Headers = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._in_trailers:
                at = self._trailers(data, at)
                break
            if self._left == 0:
                end = data.find(b"\n", at, at + _MAX_SIZE_LINE)
                if end < 0:
                    if size - at >= _MAX_SIZE_LINE:
                        raise BadMessage(400, "chunk_size_line_too_long")
                    break
                match = _SIZE_LINE.fullmatch(data, at, end - 1)
                if match is None or data[end - 1] != 0x0D:
                    raise BadMessage(400, "bad_chunk_size")
                at = end + 1
                length = int(match[1], 16)
                if length == 0:
                    self._in_trailers = True
                    continue
                self._left = length + 2
            body = min(self._left - 2, size - at)
            if body > 0:
                pieces.append(data[at : at + body])
                at += body
                self._left -= body
            if self._left <= 2:
                if size - at < 2:
                    if size > at and data[at] != 0x0D:
                        raise BadMessage(400, "bad_chunk_end")
                    break
                if data[at : at + 2] != b"\r\n":
                    raise BadMessage(400, "bad_chunk_end")
                at += 2
                self._left = 0
        return pieces, data[at:] if at else data

    def _trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > MAX_HEAD_BYTES:
                raise BadMessage(431, "trailers_too_long")
            return at
        if end - at > MAX_HEAD_BYTES:
            raise BadMessage(431, "trailers_too_long")
        fields = parse_fields(data[at:end].split(b"\r\n"))
        self.trailers = [one for one in fields.headers if one[0] not in _NO_TRAILERS]
        self.done = True
        return end + 4
