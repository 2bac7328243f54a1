"""The server side of HTTP/1.1 on a wire of memory: order, keep-alive, framing of answers, refusals, bounds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import FakeWire, Now

from meshagent.connect.proxy.http.h1.server import HEAD_TIMEOUT_S, IDLE_TIMEOUT_S, Http1ServerCodec
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import DownstreamStream, Reset
from meshagent.connect.proxy.http.timers import TimerWheel


class Asked:
    """One request that came; the test answers through `stream`."""

    def __init__(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        self.stream, self.head, self.end = stream, head, end
        self.body = b""
        self.trailers: Headers = []
        self.was_reset: Reset | None = None
        self.blocked = False

    def on_data(self, data: bytes, end: bool) -> None:
        assert not self.end
        self.body += data
        self.end = end

    def on_trailers(self, trailers: Headers) -> None:
        assert not self.end
        self.trailers, self.end = trailers, True

    def on_reset(self, why: Reset) -> None:
        self.was_reset = why

    def on_blocked(self) -> None:
        self.blocked = True

    def on_writable(self) -> None:
        self.blocked = False

    def answer(self, body: bytes = b"", status: int = 200) -> None:
        self.stream.send_head(ResponseHead(status, [], len(body)), not body)
        if body:
            self.stream.send_data(body, True)


class Server:
    """A codec on a wire. `echo` answers each request with its body at once."""

    def __init__(self, echo: bool = False) -> None:
        self.now = Now()
        self.timers = TimerWheel(self.now)
        self.wire = FakeWire()
        self.asked: list[Asked] = []
        self.refused: list[tuple[int, str]] = []
        self.echo = echo
        self.codec = Http1ServerCodec(self.wire, self.timers, self.on_request, lambda *why: self.refused.append(why))

    def on_request(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        asked = Asked(stream, head, end)
        stream.handler = asked
        self.asked.append(asked)
        if self.echo:
            asked.answer(head.path)

    def send(self, data: bytes) -> None:
        self.codec.data_received(data)

    def pass_time(self, seconds: float) -> None:
        self.now.time += seconds
        self.timers.advance()


GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


def test_keep_alive() -> None:
    server = Server()
    for at in range(3):
        server.send(GET % at)
        server.asked[at].answer(b"body")
        assert server.wire.take() == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"
    assert not server.wire.closed


def test_pipelined_requests_are_answered_in_order() -> None:
    server = Server()
    server.send(GET % 0 + GET % 1 + GET % 2)
    assert len(server.asked) == 1
    server.asked[0].answer(b"a")
    assert len(server.asked) == 2
    server.asked[1].answer(b"b")
    server.asked[2].answer(b"c")
    assert [one.head.path for one in server.asked] == [b"/0", b"/1", b"/2"]
    assert server.wire.sent.count(b"HTTP/1.1 200") == 3


def test_what_is_pipelined_is_bounded() -> None:
    server = Server()
    server.send(GET % 0)
    for _ in range(100):
        if not server.wire.paused:
            server.send((GET % 1) * 100)
    assert server.wire.paused
    while server.codec.stream is not None:
        server.asked[-1].answer()
    assert not server.wire.paused
    assert len(server.asked) > 1000


@given(st.lists(st.integers(0, 200), max_size=12), st.integers(1, 4))
def test_requests_cut_anyhow(cuts: list[int], count: int) -> None:
    data = b""
    for at in range(count):
        data += b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n" % at
        data += b"\r\nPUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nde" % at
    server = Server()
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        server.send(data[start:stop])
        while server.asked and server.asked[-1].end and server.codec.stream is not None:
            server.asked[-1].answer(b"ok")
    while server.codec.stream is not None:
        server.asked[-1].answer(b"ok")
    assert [one.body for one in server.asked] == [b"abc", b"de"] * count
    assert [one.trailers for one in server.asked] == [[(b"x", b"y")], []] * count
    assert not server.refused
    assert not server.wire.closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 20_000, 431),
        (b"GET /" + b"a" * 70_000, 414),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nFoo : bar\r\n\r\n", 400),
    ],
)
def test_what_is_refused_ends_the_connection(data: bytes, status: int) -> None:
    server = Server()
    server.send(data + GET % 9)
    assert server.wire.sent.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close\r\n" in server.wire.sent
    assert server.wire.closed
    assert [why[0] for why in server.refused] == [status]
    server.send(GET % 1)
    assert all(one.head.path != b"/9" for one in server.asked)
    assert all(one.was_reset for one in server.asked)


def test_a_slow_head() -> None:
    server = Server()
    server.send(b"GET / HTTP/1.1\r\n")
    server.pass_time(HEAD_TIMEOUT_S / 2)
    server.send(b"Host: a\r\n")
    server.pass_time(HEAD_TIMEOUT_S / 2 + 1)
    assert server.wire.sent.startswith(b"HTTP/1.1 408 ")
    assert server.wire.closed


def test_a_head_in_time() -> None:
    server = Server(echo=True)
    server.send(b"GET / HTTP/1.1\r\n")
    server.send(b"Host: a\r\n\r\n")
    server.pass_time(HEAD_TIMEOUT_S + 1)
    assert b" 200 OK" in server.wire.sent
    assert not server.wire.closed


def test_silent_connections_are_closed() -> None:
    server = Server(echo=True)
    server.send(GET % 0)
    server.pass_time(IDLE_TIMEOUT_S / 2)
    server.send(GET % 1)
    for _ in range(4):
        server.pass_time(IDLE_TIMEOUT_S / 2)
        if server.wire.closed:
            break
    assert server.wire.closed
    assert server.wire.sent.count(b" 200 OK") == 2


class TestAnswers:
    def test_without_a_length_they_are_chunked(self) -> None:
        server = Server()
        server.send(GET % 0)
        stream = server.asked[0].stream
        stream.send_head(ResponseHead(200, [(b"a", b"b")]), False)
        stream.send_data(b"xyz", False)
        stream.send_data(b"", False)
        stream.send_trailers([(b"sum", b"1")])
        expected = b"a: b\r\ntransfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nsum: 1\r\n\r\n"
        assert server.wire.sent == b"HTTP/1.1 200 OK\r\n" + expected
        assert not server.wire.closed

    def test_old_clients_get_them_up_to_the_end(self) -> None:
        server = Server()
        server.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        server.asked[0].stream.send_head(ResponseHead(200, []), False)
        server.asked[0].stream.send_data(b"xyz", True)
        assert server.wire.sent == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nxyz"
        assert server.wire.closed

    def test_old_clients_may_stay(self) -> None:
        server = Server(echo=True)
        server.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"connection: keep-alive\r\n" in server.wire.sent
        assert not server.wire.closed

    def test_head_has_no_body(self) -> None:
        server = Server()
        server.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 1)
        server.asked[0].answer(b"never sent")
        assert server.wire.take() == b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
        assert len(server.asked) == 2

    @pytest.mark.parametrize("status", [204, 304])
    def test_nor_have_some_statuses(self, status: int) -> None:
        server = Server()
        server.send(GET % 0)
        server.asked[0].stream.send_head(ResponseHead(status, []), True)
        assert b"transfer-encoding" not in server.wire.sent
        assert not server.wire.closed

    def test_one_that_lies_about_its_length_is_cut(self) -> None:
        for body in (b"abcd", b"ab"):
            server = Server()
            server.send(GET % 0)
            server.asked[0].stream.send_head(ResponseHead(200, [], 3), False)
            server.asked[0].stream.send_data(body, True)
            assert server.wire.aborted

    def test_informational_ones(self) -> None:
        server = Server()
        server.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert server.asked[0].head.expects_continue
        server.asked[0].stream.send_informational(ResponseHead(100, []))
        assert server.wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        server.send(b"ab")
        assert server.asked[0].body == b"ab"

    def test_a_reset_closes(self) -> None:
        server = Server()
        server.send(GET % 0 + GET % 1)
        server.asked[0].stream.send_head(ResponseHead(200, [], 10), False)
        server.asked[0].stream.reset(Reset.CONNECTION_LOST)
        assert server.wire.aborted
        assert len(server.asked) == 1

    def test_an_answer_before_the_end_of_the_request(self) -> None:
        server = Server()
        server.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        server.asked[0].answer(b"no", 403)
        server.asked[0].stream.reset(Reset.LOCAL)
        assert server.wire.sent.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert server.wire.closed
        assert not server.wire.aborted


def test_a_websocket() -> None:
    server = Server()
    server.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    asked = server.asked[0]
    assert asked.head.upgrade == b"websocket"
    server.send(b"early")
    asked.stream.send_head(ResponseHead(101, [(b"sec-websocket-accept", b"x")]), False)
    assert b"connection: upgrade\r\nupgrade: websocket\r\n" in server.wire.take()
    assert asked.body == b"early"
    server.send(GET % 1)
    assert asked.body == b"early" + GET % 1
    asked.stream.send_data(b"raw", False)
    assert server.wire.take() == b"raw"
    asked.stream.send_data(b"", True)
    assert server.wire.eof


def test_an_upgrade_that_is_not_accepted_changes_nothing() -> None:
    server = Server()
    server.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET % 1)
    server.asked[0].answer(b"no", 404)
    server.asked[0].stream.reset(Reset.LOCAL)
    assert len(server.asked) == 2
    assert not server.wire.closed


def test_back_pressure() -> None:
    server = Server()
    server.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    asked = server.asked[0]
    server.codec.writing_blocked()
    assert asked.blocked
    server.codec.writing_resumed()
    assert not asked.blocked
    asked.stream.pause_reading()
    assert server.wire.paused
    server.send(b"0123456789")
    asked.answer()
    assert not server.wire.paused, "the next request is read"


def test_a_client_that_leaves() -> None:
    server = Server()
    server.send(GET % 0)
    server.codec.connection_lost("reset")
    assert server.asked[0].was_reset is Reset.CONNECTION_LOST
    server.asked[0].answer(b"late")
    assert server.wire.sent == b""


def test_a_client_that_has_said_all_is_answered() -> None:
    server = Server()
    server.send(GET % 0)
    server.codec.eof_received()
    server.asked[0].answer(b"ok")
    assert server.wire.sent.endswith(b"connection: close\r\n\r\nok")
    assert server.wire.closed


def test_draining() -> None:
    server = Server()
    server.send(GET % 0)
    server.codec.drain()
    assert not server.wire.closed
    server.asked[0].answer(b"ok")
    assert b"connection: close" in server.wire.sent
    assert server.wire.closed


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes(pieces: list[bytes]) -> None:
    server = Server(echo=True)
    for piece in pieces:
        server.send(piece)
    server.codec.eof_received()
    assert server.wire.closed or server.wire.aborted or server.codec.stream is not None
