"""Answers as bytes: status line, headers, date.

An answer is a head up to the Date header and a body, both made once; the date is put between them when it is written.
Header names are in Go's canonical case, in a fixed order.

Source: RFC 9110 sections 5 and 6.6.1, RFC 9112; surface rows C16, C17, C28. What may change here: nothing a client
could tell apart.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from http import HTTPStatus

from meshagent.agent.http.response import JSON, TEXT, Headers, Response

__all__ = ["GZIP_FROM", "Answer", "DateLine", "compress", "error_answer", "head", "status_line"]

#: Bodies of at least this many bytes are compressed (surface row C28).
GZIP_FROM = 1400

_REASONS = {status.value: status.phrase for status in HTTPStatus} | {413: "Request Entity Too Large"}
_STATUS_LINES: dict[int, bytes] = {}
#: Statuses without a body and without Content-Length.
_BODYLESS = frozenset({204, 304})


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` and CRLF."""
    line = _STATUS_LINES.get(status)
    if line is None:
        line = f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n".encode()
        _STATUS_LINES[status] = line
    return line


def clean_value(text: str) -> str:
    """A header value on one line: control characters become spaces, the rest is Latin-1 or UTF-8 read as Latin-1."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char >= " " and char != "\x7f" else " " for char in text)


def header_block(headers: Headers) -> bytes:
    """`Name: value` lines."""
    return "".join(f"{name}: {clean_value(value)}\r\n" for name, value in headers).encode("utf-8", "replace")


class Answer:
    """One answer ready to be written: `head` ends with a complete header line, before Date and the empty line."""

    __slots__ = ("body", "close", "head", "status")

    def __init__(self, status: int, head: bytes, body: bytes, close: bool = False) -> None:
        self.status = status
        self.head = head
        self.body = body
        self.close = close


def head(status: int, always: bytes, headers: bytes, content_type: str | None, length: int, gzipped: bool) -> bytes:
    """The head of an answer up to the date; `always` and `headers` are finished header lines."""
    parts = [status_line(status)]
    if gzipped:
        parts.append(b"Content-Encoding: gzip\r\n")
    if content_type is not None:
        parts.append(b"Content-Type: application/json\r\n" if content_type is JSON else _content_type(content_type))
    parts.append(always)
    parts.append(headers)
    if status not in _BODYLESS:
        parts.append(b"Content-Length: %d\r\n" % length)
    return b"".join(parts)


def _content_type(content_type: str) -> bytes:
    return f"Content-Type: {content_type}\r\n".encode("latin-1", "replace")


def finish(response: Response, always: bytes, *, gzip: bool) -> Answer:
    """The answer of a handler's response, compressed when the client takes it and the body is worth it."""
    body = response.body
    gzipped = gzip and len(body) >= GZIP_FROM
    if gzipped:
        body = compress(body)
    lines = head(response.status, always, header_block(response.headers), response.content_type, len(body), gzipped)
    return Answer(response.status, lines, body, response.close)


def error_answer(status: int, text: str, always: bytes, headers: bytes = b"", *, close: bool = False) -> Answer:
    """Plain text and nothing else (surface row C3)."""
    body = text.encode("utf-8", "replace")
    return Answer(status, head(status, always, headers, TEXT, len(body), False), body, close)


def compress(body: bytes) -> bytes:
    """gzip (RFC 1952) at the level where speed and size meet for JSON."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


#: RFC 9110, section 5.6.7, in English whatever the locale. `email.utils` would bring all of `email` with it.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class DateLine:
    """The Date header, made once a second.

    `line` is `Date: ...` with CRLF and the empty line behind it; a new object each second, so that identity tells
    whether something built with it is still fresh.
    """

    __slots__ = ("line",)

    def __init__(self, now: datetime) -> None:
        self.line = b""
        self.update(now)

    def update(self, now: datetime) -> None:
        """It is `now` (aware, UTC)."""
        day, month = _DAYS[now.weekday()], _MONTHS[now.month - 1]
        self.line = f"Date: {day}, {now.day:02} {month} {now.year:04} {now:%H:%M:%S} GMT\r\n\r\n".encode()
