"""The client side of HTTP/1.1 on a wire of memory: reuse, framing, servers that reset, hang or lie."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import FakeWire, Now, request

from meshagent.connect.proxy.http.h1.client import Http1ClientCodec
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import Reset
from meshagent.connect.proxy.http.timers import TimerWheel


class Heard:
    """What came for one request."""

    def __init__(self) -> None:
        self.informational: list[int] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.trailers: Headers = []
        self.ended = False
        self.was_reset: Reset | None = None

    def on_informational(self, head: ResponseHead) -> None:
        self.informational.append(head.status)

    def on_head(self, head: ResponseHead, end: bool) -> None:
        assert self.head is None
        self.head, self.ended = head, end

    def on_data(self, data: bytes, end: bool) -> None:
        assert not self.ended
        self.body += data
        self.ended = end

    def on_trailers(self, trailers: Headers) -> None:
        assert not self.ended
        self.trailers, self.ended = trailers, True

    def on_reset(self, why: Reset) -> None:
        assert not self.ended
        self.was_reset = why

    def on_blocked(self) -> None: ...
    def on_writable(self) -> None: ...


class Asking:
    """A codec on a wire."""

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.codec = Http1ClientCodec(self.wire, TimerWheel(Now()))
        self.changes = 0
        self.codec.on_change = self.changed

    def changed(self) -> None:
        self.changes += 1

    def ask(self, head: RequestHead | None = None, end: bool = True) -> Heard:
        heard = Heard()
        self.stream = self.codec.open_stream(head or request(), end, heard)
        return heard


def test_a_connection_is_used_again() -> None:
    asking = Asking()
    for _ in range(3):
        heard = asking.ask()
        assert asking.codec.capacity == 0
        assert asking.wire.take() == b"GET / HTTP/1.1\r\nhost: api\r\n\r\n"
        asking.codec.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok")
        assert heard.head is not None
        assert (heard.head.status, heard.body, heard.ended) == (200, b"ok", True)
        assert (b"x", b"y") in heard.head.headers
        assert asking.codec.capacity == 1
    assert asking.changes == 3


@given(st.lists(st.integers(0, 300), max_size=10))
def test_answers_cut_anyhow(cuts: list[int]) -> None:
    data = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext\r\nhello\r\n1\r\n!\r\n0\r\nSum: 1\r\n\r\n"
    )
    asking = Asking()
    heard = asking.ask()
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        if stop > start:
            asking.codec.data_received(data[start:stop])
    assert (heard.informational, heard.body, heard.trailers, heard.ended) == ([103], b"hello!", [(b"sum", b"1")], True)
    assert asking.codec.capacity == 1


def test_bodies() -> None:
    asking = Asking()
    asking.ask(request(method=b"POST"), end=False)
    asking.stream.send_data(b"abc", False)
    asking.stream.send_trailers([(b"sum", b"1")])
    expected = b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nsum: 1\r\n\r\n"
    assert asking.wire.take().endswith(expected)
    asking.codec.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    head = request(method=b"POST")
    head.length = 3
    asking.ask(head, end=False)
    asking.stream.send_data(b"abc", True)
    assert asking.wire.take().endswith(b"content-length: 3\r\n\r\nabc")


@pytest.mark.parametrize("body", [b"ab", b"abcd"])
def test_a_client_that_lies_about_its_length_harms_itself_only(body: bytes) -> None:
    asking = Asking()
    head = request(method=b"POST")
    head.length = 3
    heard = asking.ask(head, end=False)
    asking.stream.send_data(body, True)
    assert asking.wire.aborted
    assert heard.was_reset is Reset.LOCAL


def test_without_a_length_up_to_the_end() -> None:
    asking = Asking()
    heard = asking.ask()
    asking.codec.data_received(b"HTTP/1.1 200 OK\r\n\r\nab")
    asking.codec.data_received(b"cd")
    assert not heard.ended
    asking.codec.eof_received()
    assert (heard.body, heard.ended) == (b"abcd", True)
    assert asking.codec.closed


def test_it_closes_when_the_server_says_so() -> None:
    asking = Asking()
    heard = asking.ask()
    asking.codec.data_received(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert heard.ended
    assert asking.codec.closed
    assert asking.wire.closed


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    ],
)
def test_a_server_that_speaks_no_http(data: bytes) -> None:
    asking = Asking()
    heard = asking.ask()
    asking.codec.data_received(data)
    assert heard.was_reset is Reset.PROTOCOL_ERROR
    assert asking.wire.aborted
    assert asking.codec.closed


class TestWhatNobodyAskedFor:
    def test_bytes_behind_an_answer_reach_no_other_request(self) -> None:
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 204 No\r\n\r\n"):
            asking = Asking()
            heard = asking.ask()
            asking.codec.data_received(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            assert heard.ended
            assert asking.codec.closed
            assert asking.codec.capacity == 0

    def test_bytes_between_requests_end_the_connection(self) -> None:
        asking = Asking()
        asking.codec.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert asking.codec.closed


class TestEnds:
    def test_stale(self) -> None:
        asking = Asking()
        asking.ask()
        asking.codec.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        heard = asking.ask()
        asking.codec.eof_received()
        assert heard.was_reset is Reset.STALE

    def test_a_fresh_one_that_ends_is_not_stale(self) -> None:
        asking = Asking()
        heard = asking.ask()
        asking.codec.connection_lost("reset")
        assert heard.was_reset is Reset.CONNECTION_LOST

    def test_in_the_middle(self) -> None:
        asking = Asking()
        heard = asking.ask()
        asking.codec.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        asking.codec.eof_received()
        assert heard.was_reset is Reset.CONNECTION_LOST

    def test_an_answer_before_the_end_of_the_request(self) -> None:
        asking = Asking()
        heard = asking.ask(request(method=b"POST"), end=False)
        asking.codec.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        assert heard.ended
        assert asking.codec.closed
        asking.stream.send_data(b"more", True)

    def test_a_reset_makes_no_callback(self) -> None:
        asking = Asking()
        heard = asking.ask()
        asking.stream.reset(Reset.LOCAL)
        assert asking.wire.aborted
        assert heard.was_reset is None
        assert asking.changes == 1

    def test_draining(self) -> None:
        asking = Asking()
        heard = asking.ask()
        asking.codec.drain()
        assert not asking.wire.aborted
        asking.codec.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert heard.ended
        assert asking.codec.closed


def test_head_and_a_paused_connection() -> None:
    asking = Asking()
    heard = asking.ask(request(method=b"HEAD"))
    asking.codec.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    assert heard.ended
    heard = asking.ask()
    asking.stream.pause_reading()
    asking.codec.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert heard.ended
    assert not asking.wire.paused


def test_a_websocket() -> None:
    asking = Asking()
    head = request()
    head.upgrade = b"websocket"
    heard = asking.ask(head, end=False)
    asking.codec.data_received(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
    assert heard.head is not None
    assert (heard.head.status, heard.body) == (101, b"hi")
    asking.wire.take()
    asking.stream.send_data(b"raw", False)
    assert asking.wire.take() == b"raw"
    asking.codec.eof_received()
    assert heard.ended


@given(st.binary(max_size=120), st.integers(0, 120))
def test_any_bytes(data: bytes, cut: int) -> None:
    asking = Asking()
    heard = asking.ask()
    for piece in (data[:cut], b"HTTP/1.1 200 OK\r\n" + data[cut:]):
        if piece and not asking.codec.closed:
            asking.codec.data_received(piece)
    if not asking.codec.closed:
        asking.codec.connection_lost("")
    assert heard.ended or heard.was_reset is not None


def test_what_is_for_a_new_protocol_waits_until_the_server_takes_it() -> None:
    asking = Asking()
    head = request()
    head.upgrade = b"websocket"
    heard = asking.ask(head, end=False)
    asking.wire.take()
    asking.stream.send_data(b"GET /secret HTTP/1.1\r\nhost: api\r\n\r\n", False)
    assert asking.wire.take() == b"", "a server that does not switch would take it for a request"
    asking.codec.data_received(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert heard.head is not None and heard.head.status == 101
    assert asking.wire.take().startswith(b"GET /secret")
    asking.stream.send_data(b"more", True)
    assert asking.wire.take() == b"more"


@pytest.mark.parametrize("end", [False, True])
def test_what_was_for_a_new_protocol_is_dropped_when_the_server_does_not_take_it(end: bool) -> None:
    asking = Asking()
    head = request()
    head.upgrade, head.length = b"websocket", 3
    heard = asking.ask(head, end=False)
    asking.wire.take()
    asking.stream.send_data(b"GET", end)
    asking.codec.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (heard.body, heard.ended) == (b"ok", True)
    assert asking.wire.take() == b""
    assert asking.codec.closed, "nothing else is asked on it"


def test_what_waits_for_a_new_protocol_is_bounded() -> None:
    asking = Asking()
    head = request()
    head.upgrade = b"websocket"
    heard = asking.ask(head, end=False)
    for _ in range(9):
        asking.stream.send_data(bytes(64 * 1024), False)
    assert heard.was_reset is Reset.LOCAL
