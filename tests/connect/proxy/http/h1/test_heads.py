"""Heads of HTTP/1.1: what is taken, and that everything two parsers could read in two ways is refused."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.http.h1.heads import BadMessage, parse_fields, request_head, response_head


def test_a_request() -> None:
    block = b"POST /a?b=c HTTP/1.1\r\nHost: api:80\r\nX-Y:  z \r\nContent-Length: 3\r\nTE: gzip, trailers"
    head, fields = request_head(block)
    assert (head.method, head.path, head.authority, head.length) == (b"POST", b"/a?b=c", b"api:80", 3)
    assert head.headers == [(b"x-y", b"z"), (b"content-length", b"3"), (b"te", b"trailers")]
    assert not fields.close


def test_headers_of_one_connection_are_dropped() -> None:
    block = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nX-Kept: 2"
    )
    head, fields = request_head(block)
    assert head.headers == [(b"x-kept", b"2")]
    assert fields.close
    assert head.upgrade == b""


def test_what_connection_may_not_take_away() -> None:
    head, _ = request_head(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: content-length, host")
    assert head.length == 5
    assert (b"content-length", b"5") in head.headers


def test_a_websocket() -> None:
    head, _ = request_head(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket")
    assert head.upgrade == b"websocket"
    head, _ = request_head(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket")
    assert head.upgrade == b""


@pytest.mark.parametrize(
    ("target", "path", "authority"),
    [
        (b"http://other/x?y", b"/x?y", b"other"),
        (b"HTTP://other:81", b"/", b"other:81"),
        (b"http://other?q", b"/?q", b"other"),
        (b"/http://x", b"/http://x", b"a"),
    ],
)
def test_whole_urls_name_the_authority(target: bytes, path: bytes, authority: bytes) -> None:
    head, _ = request_head(b"GET " + target + b" HTTP/1.1\r\nHost: a")
    assert (head.path, head.authority) == (path, authority)


HOST = b"\r\nHost: a"
REFUSED = [
    (b"GET / HTTP/1.1", 400),
    (b"GET / HTTP/1.1" + HOST + HOST, 400),
    (b"GET / HTTP/1.1\r\nHost: a/b", 400),
    (b"GET / HTTP/1.1\r\nHost: user@a", 400),
    (b"GET / HTTP/1.1\r\nHost: a b", 400),
    (b"GET  / HTTP/1.1" + HOST, 400),
    (b"GET / HTTP/1.1 " + HOST, 400),
    (b" GET / HTTP/1.1" + HOST, 400),
    (b"G(T / HTTP/1.1" + HOST, 400),
    (b"GET /\x00 HTTP/1.1" + HOST, 400),
    (b"GET /a#b HTTP/1.1" + HOST, 400),
    (b"GET /\xc3\xa9 HTTP/1.1" + HOST, 400),
    (b"GET a HTTP/1.1" + HOST, 400),
    (b"GET * HTTP/1.1" + HOST, 400),
    (b"GET ftp://a/ HTTP/1.1" + HOST, 400),
    (b"GET http://user@a/ HTTP/1.1" + HOST, 400),
    (b"CONNECT a:80 HTTP/1.1" + HOST, 405),
    (b"GET / HTTP/2.0" + HOST, 505),
    (b"GET / HTTP/1.2" + HOST, 400),
    (b"GET /", 400),
    (b"GET /" + b"a" * 17_000 + b" HTTP/1.1" + HOST, 414),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX : y", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX\ty: y", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\n: y", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: a\r\n folded", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: a\nY: b", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: a\rY: b", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: a\x00b", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: a\x7fb", 400),
    (b"GET / HTTP/1.1\nHost: a", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nContent-Length: 1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1, 1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: +1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 0x1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: ", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 99999999999999999999", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: gzip, chunked", 501),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: xchunked", 501),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: \x0bchunked", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding : chunked", 400),
    (b"POST / HTTP/1.0" + HOST + b"\r\nTransfer-Encoding: chunked", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nExpect: magic", 417),
    (b"GET / HTTP/1.1" + HOST + b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\na: b" * 101, 431),
]


@pytest.mark.parametrize(("block", "status"), REFUSED, ids=range(len(REFUSED)))
def test_refused(block: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        request_head(block)
    assert caught.value.status == status
    with pytest.raises(BadMessage):  # and again, when its lines are known
        request_head(block)


def test_old_clients() -> None:
    head, fields = request_head(b"GET / HTTP/1.0")
    assert (head.version, head.authority, fields.close) == (10, b"", True)
    _, fields = request_head(b"GET / HTTP/1.0\r\nConnection: keep-alive")
    assert not fields.close


def test_responses() -> None:
    head, fields = response_head(b"HTTP/1.1 200 All fine\r\nContent-Length: 2\r\nConnection: close")
    assert (head.status, head.reason, head.length, fields.close) == (200, b"All fine", 2, True)
    assert response_head(b"HTTP/1.1 200")[0].status == 200
    for bad in (b"HTTP/1.1 99 x", b"HTTP/2 200 OK", b"HTTP/1.1 200OK", b"HTTP/1.1  200 OK", b"ICY 200 OK", b""):
        with pytest.raises(BadMessage):
            response_head(bad)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_are_refused(block: bytes) -> None:
    for parse in (request_head, response_head):
        try:
            parse(block)
        except BadMessage as error:
            assert 400 <= error.status < 600


class _Judge:
    """llhttp's reading of a request."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


PIECES = st.sampled_from(
    [b"GET", b"POST", b" ", b"  ", b"/", b"/a?b", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b"Host", b":", b": ",
     b"a", b"x-y", b"Content-Length", b"5", b"Transfer-Encoding", b"chunked", b"Connection", b"close", b"\t", b"\x00",
     b"\xff", b"Upgrade", b"websocket", b"Expect", b"100-continue", b","]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_llhttp_reads_what_we_read(tail: bytes) -> None:
    """What we take, a strict parser of others takes with the same meaning."""
    block = b"GET / HTTP/1.1\r\nHost: a" + tail
    if b"\r\n\r\n" in block:
        return
    try:
        head, fields = request_head(block)
    except BadMessage:
        return
    judge = _Judge()
    parser = httptools.HttpRequestParser(judge)
    try:
        parser.feed_data(block + b"\r\n\r\n")
    except httptools.HttpParserUpgrade:
        pass
    assert judge.complete
    assert parser.get_method() == head.method
    assert judge.url == head.path
    read = [(name, value.strip(b" \t")) for name, value in judge.headers]
    assert all(pair in read for pair in head.headers if pair[0] != b"te")
    if fields.chunked:
        assert (b"transfer-encoding", b"chunked") in [(name, value.lower()) for name, value in read]


def test_known_lines_are_bounded() -> None:
    for at in range(5000):
        parse_fields([b"x-%d: y" % at])
    from meshagent.connect.proxy.http.h1 import heads

    assert len(heads._known) <= 4096
    parse_fields([b"Authorization: secret"])
    assert b"Authorization: secret" not in heads._known


def test_a_head_seen_before_is_a_head_of_its_own() -> None:
    from meshagent.connect.proxy.http.h1 import heads

    block = b"GET /again HTTP/1.1\r\nHost: a\r\nX-A: b"
    first, _ = request_head(block)
    first.headers.append((b"x-evil", b"1"))
    first.path = b"/elsewhere"
    second, _ = request_head(block)
    assert (second.path, second.headers) == (b"/again", [(b"x-a", b"b")])
    answer = b"HTTP/1.1 200 OK\r\nX-A: b"
    response_head(answer)[0].headers.clear()
    assert response_head(answer)[0].headers == [(b"x-a", b"b")]
    for at in range(3000):
        request_head(b"GET /%d HTTP/1.1\r\nHost: a" % at)
        response_head(b"HTTP/1.1 200 OK\r\nX-Number: %d" % at)
    assert max(len(heads._requests), len(heads._responses)) <= 1024
    secret = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: secret"
    request_head(secret)
    request_head(secret)
    assert secret not in heads._requests
