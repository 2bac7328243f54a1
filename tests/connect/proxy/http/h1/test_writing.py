"""HTTP/1.1 messages as bytes: one framing, and no line that nobody meant."""

from __future__ import annotations

import pytest
from meshtest.http7 import request

from meshagent.connect.proxy.http.h1.writing import chunk, last_chunk, request_bytes, response_bytes
from meshagent.connect.proxy.http.messages import RequestHead, ResponseHead
from meshagent.errors import LocalProtocolError


def test_requests() -> None:
    assert request_bytes(request(), True) == b"GET / HTTP/1.1\r\nhost: api\r\n\r\n"
    assert request_bytes(request(method=b"POST"), True).endswith(b"content-length: 0\r\n\r\n")
    assert request_bytes(request(method=b"POST"), False).endswith(b"transfer-encoding: chunked\r\n\r\n")
    head = request(method=b"POST", headers=[(b"content-length", b"99"), (b"x", b"y")])
    head.length = 3
    assert request_bytes(head, False) == b"POST / HTTP/1.1\r\nhost: api\r\nx: y\r\ncontent-length: 3\r\n\r\n"
    head = request()
    head.upgrade = b"websocket"
    assert request_bytes(head, False).endswith(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert b"connection: te\r\n" in request_bytes(request(headers=[(b"te", b"trailers")]), True)


def test_responses() -> None:
    assert response_bytes(ResponseHead(200, [(b"a", b"b")]), b"f: g\r\n") == b"HTTP/1.1 200 OK\r\na: b\r\nf: g\r\n\r\n"
    assert response_bytes(ResponseHead(299, []), b"").startswith(b"HTTP/1.1 299 ")


@pytest.mark.parametrize("bad", [b"x\r\ny: z", b"x\ny", b"x\ry"])
def test_no_header_makes_another_line(bad: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        request_bytes(request(headers=[(b"a", bad)]), True)
    with pytest.raises(LocalProtocolError):
        request_bytes(request(headers=[(b"content-length", b"3"), (b"a", bad)]), True)
    with pytest.raises(LocalProtocolError):
        request_bytes(RequestHead(b"GET", b"http", b"a", b"/" + bad, []), True)
    with pytest.raises(LocalProtocolError):
        request_bytes(RequestHead(b"GET", b"http", bad, b"/", []), True)
    with pytest.raises(LocalProtocolError):
        request_bytes(RequestHead(b"GET", b"http", b"a", b"/ HTTP/1.1", []), True)
    with pytest.raises(LocalProtocolError):
        last_chunk([(b"a", bad)])


def test_chunks() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert last_chunk([(b"a", b"b")]) == b"0\r\na: b\r\n\r\n"
