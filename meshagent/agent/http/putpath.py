"""The plain `PUT /v1/kv/<key>`, read by hand.

Only the commonest form is taken: HTTP/1.1, an unescaped clean path without a query, a few harmless headers once each,
the whole body in the buffer. Anything else is None, and aiohttp reads the same bytes: this parser never refuses.

Source: RFC 9112 sections 3 and 6.2; surface rows KV5, C1. What may change here: headers that provably change nothing
may be added to `_HARMLESS`.
"""

from __future__ import annotations

import re

__all__ = ["PlainPut", "parse_plain_put"]

#: (key, value)
PlainPut = tuple[str, bytes]

_SEGMENT = rb"(?!\.\.?(?:/| ))[A-Za-z0-9_.~:@-]+"
_REQUEST_LINE = re.compile(rb"PUT /v1/kv/(" + _SEGMENT + rb"(?:/" + _SEGMENT + rb")*/?) HTTP/1\.1\r\n")
_FIELD = re.compile(rb"([A-Za-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\Z")
_LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,7})\Z")
_HARMLESS = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding", b"content-type"})

#: Header block -> Content-Length, or -1 when it is not taken. Clients repeat themselves.
_blocks: dict[bytes, int] = {}
_MAX_BLOCKS = 1024
_MAX_BLOCK = 1024


def parse_plain_put(data: bytes, limit: int) -> PlainPut | None:
    """Key and value when `data` is exactly one plain PUT with a value of at most `limit` bytes, else None."""
    line = _REQUEST_LINE.match(data)
    if line is None:
        return None
    start = line.end()
    end = data.find(b"\r\n\r\n", start, start + _MAX_BLOCK)
    if end < 0:
        return None
    block = data[start:end]
    length = _blocks.get(block)
    if length is None:
        length = _content_length(block)
        if len(_blocks) >= _MAX_BLOCKS:
            _blocks.clear()
        _blocks[block] = length
    body = end + 4
    if length < 0 or length > limit or len(data) - body != length:
        return None
    return line[1].decode("ascii"), data[body:]


def _content_length(block: bytes) -> int:
    """The Content-Length of a header block in which every field is known and occurs once; -1 otherwise."""
    seen: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n"):
        field = _FIELD.match(line)
        if field is None:
            return -1
        name = field[1].lower()
        if name in seen:
            return -1
        if name == b"connection":
            if field[2].lower() != b"keep-alive":
                return -1
        elif name == b"content-length":
            if _LENGTH.match(field[2]) is None:
                return -1
        elif name not in _HARMLESS:
            return -1
        seen[name] = field[2]
    if b"host" not in seen or b"content-length" not in seen:
        return -1
    return int(seen[b"content-length"])
