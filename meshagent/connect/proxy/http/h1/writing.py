"""HTTP/1.1 messages as bytes. There is one way to write a message, and it says once how long it is.

The framing comes from the head's `length`, never from a header; a body that is longer or shorter than announced is
found out before it is sent. A head whose headers would make another line is not written.

Source: RFC 9112 sections 3, 4, 6, 7.1. What may change here: the order of headers.
"""

from __future__ import annotations

from http import HTTPStatus

from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.errors import LocalProtocolError

__all__ = ["LAST_CHUNK", "chunk", "last_chunk", "request_bytes", "response_bytes"]

_STATUS_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in HTTPStatus}
_STATUS_LINES[413] = b"HTTP/1.1 413 Payload Too Large\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def _lines(headers: Headers) -> bytes:
    """Raises LocalProtocolError for a header that holds an end of line."""
    lines = [b"%b: %b\r\n" % one for one in headers if one[0] != b"content-length"]
    joined = b"".join(lines)
    if joined.count(b"\n") != len(lines) or joined.count(b"\r") != len(lines):
        raise LocalProtocolError("a header holds an end of line")
    return joined


def request_bytes(head: RequestHead, end: bool) -> bytes:
    """A request's head. Raises LocalProtocolError."""
    if head.upgrade:
        framing = b"connection: upgrade\r\nupgrade: %b\r\n\r\n" % head.upgrade
    elif head.length is not None:
        framing = b"content-length: %d\r\n\r\n" % head.length
    elif not end:
        framing = b"transfer-encoding: chunked\r\n\r\n"
    elif head.method in {b"POST", b"PUT", b"PATCH"}:
        framing = b"content-length: 0\r\n\r\n"
    else:
        framing = b"\r\n"
    headers = head.headers
    if (b"te", b"trailers") in headers and not head.upgrade:
        framing = b"connection: te\r\n" + framing
    line = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (head.method, head.path, head.authority)
    if line.count(b"\n") != 2 or line.count(b"\r") != 2 or line.count(b" ") != 3:
        raise LocalProtocolError("the target holds an end of line or a space")
    return line + _lines(headers) + framing


def response_bytes(head: ResponseHead, framing: bytes) -> bytes:
    """A response's head with the `framing` lines its codec chose. Raises LocalProtocolError."""
    line = _STATUS_LINES.get(head.status) or b"HTTP/1.1 %d Unknown\r\n" % head.status
    return line + _lines(head.headers) + framing + b"\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk; empty data is none (an empty chunk would be the end)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Headers) -> bytes:
    """The end of a chunked body. Raises LocalProtocolError."""
    return b"0\r\n" + _lines(trailers) + b"\r\n"
