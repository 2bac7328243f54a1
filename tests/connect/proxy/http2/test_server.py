"""The h2 library as client, doing right and wrong: RFC 9113 section by section, then floods."""

from __future__ import annotations

import hpack
import pytest
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamReset, TrailersReceived
from meshtest.h2pair import PREFACE, H2Peer, Request, ServerSide

from meshagent.connect.proxy.http.messages import ResponseHead
from meshagent.connect.proxy.http.streams import Reset
from meshagent.connect.proxy.http2 import limits, server

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"api")]
POST = [(b":method", b"POST"), *GET[1:]]
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
NO_ERROR, PROTOCOL, _, FLOW, _, STREAM_CLOSED, FRAME_SIZE, REFUSED, CANCEL, COMPRESSION, _, CALM = range(12)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A header block that leaves the tables alone."""
    return b"".join(
        b"\0" + bytes([len(name)]) + name + hpack.hpack.encode_integer(len(value), 7) + value for name, value in fields
    )


def get(peer: H2Peer, fields: list[tuple[bytes, bytes]] | None = None, end: bool = True) -> int:
    stream = peer.h2.get_next_available_stream_id()
    peer.h2.send_headers(stream, fields or GET, end_stream=end)
    peer.exchange()
    return stream


def ended_with(peer: H2Peer) -> int | None:
    """The code of the GOAWAY that ended the connection."""
    events = peer.of(ConnectionTerminated)
    return events[-1].error_code if events and peer.wire.closed else None  # type: ignore[attr-defined]


def resets(peer: H2Peer) -> dict[int, int]:
    return {event.stream_id: event.error_code for event in peer.of(StreamReset)}  # type: ignore[attr-defined]


def hello(request: Request) -> None:
    request.answer(200, b"hello")


class TestAnswers:
    def test_head_body_and_trailers(self) -> None:
        peer = H2Peer()
        get(peer)
        stream = peer.requests[0].stream
        stream.send_informational(ResponseHead(103, []))
        stream.send_head(ResponseHead(200, [(b"x", b"y")]), False)
        stream.send_data(b"hel", False)
        stream.send_data(b"lo", False)
        stream.send_trailers([(b"grpc-status", b"0")])
        peer.exchange()
        assert peer.of(ResponseReceived)[0].headers == [(b":status", b"200"), (b"x", b"y")]
        assert b"".join(event.data for event in peer.of(DataReceived)) == b"hello"
        assert peer.of(TrailersReceived)[0].headers == [(b"grpc-status", b"0")]
        assert peer.codec.active == 0

    def test_of_many_requests_leave_as_one_piece(self) -> None:
        peer = H2Peer()
        peer.on_request = hello
        for stream in range(1, 41, 2):
            peer.h2.send_headers(stream, GET, end_stream=True)
        peer.codec.data_received(peer.h2.data_to_send())
        assert len(peer.requests) == 20
        assert len(peer.wire.deferred) == 1
        assert not peer.wire.sent

    def test_before_the_request_has_ended(self) -> None:
        """All of the answer, then RST_STREAM with NO_ERROR (RFC 9113 section 8.1), and only then."""
        peer = H2Peer()
        stream = get(peer, POST, end=False)
        peer.requests[0].answer(413, b"x" * 200_000)
        peer.requests[0].stream.reset(Reset.LOCAL)  # as an exchange does
        peer.exchange()
        assert not peer.of(StreamReset)
        for event in peer.of(DataReceived):
            peer.h2.acknowledge_received_data(len(event.data), stream)
        peer.exchange()
        while sum(len(event.data) for event in peer.of(DataReceived)) < 200_000:
            before = len(peer.of(DataReceived))
            for event in peer.of(DataReceived)[before - 1 :]:
                peer.h2.increment_flow_control_window(len(event.data) + 20_000, stream)
                peer.h2.increment_flow_control_window(len(event.data) + 20_000)
            peer.exchange()
            assert len(peer.of(DataReceived)) > before
        assert resets(peer) == {stream: NO_ERROR}
        assert peer.requests[0].was_reset is None

    def test_to_a_client_that_has_cancelled_go_nowhere(self) -> None:
        peer = H2Peer()
        peer.on_request = hello
        stream = peer.h2.get_next_available_stream_id()
        peer.h2.send_headers(stream, GET, end_stream=True)
        peer.h2.reset_stream(stream, CANCEL)
        peer.exchange()
        assert not peer.wire.closed
        assert peer.codec.active == 0

    def test_a_client_that_cancels_is_told_of(self) -> None:
        peer = H2Peer()
        stream = get(peer, POST, end=False)
        peer.h2.reset_stream(stream, CANCEL)
        peer.exchange()
        assert peer.requests[0].was_reset is Reset.REMOTE


class TestDrain:
    def test_open_requests_are_finished_and_new_ones_taken_until_the_client_knows(self) -> None:
        peer = H2Peer()
        get(peer)
        peer.codec.drain()
        peer.codec.drain()
        notice = peer.wire.take()
        assert notice == frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)) + frame(PING, 0, 0, notice[-8:])
        late = frame(HEADERS, 5, 3, block(GET)) + frame(PING, 1, 0, notice[-8:])
        peer.codec.data_received(late)
        assert peer.wire.take() == frame(GOAWAY, 0, 0, b"\0\0\0\3" + bytes(4))
        assert not peer.wire.closed
        for request in peer.requests:
            hello(request)
        peer.wire.take()
        assert peer.wire.closed
        assert peer.violations == []

    def test_a_client_that_answers_no_ping_is_not_waited_for(self) -> None:
        peer = H2Peer()
        peer.codec.drain()
        peer.wire.take()
        peer.pass_time(2)
        peer.wire.take()
        assert peer.wire.closed

    def test_a_connection_without_requests_is_closed(self) -> None:
        peer = H2Peer()
        get(peer)
        peer.pass_time(server.IDLE_TIMEOUT_S + 1)
        peer.pass_time(server.IDLE_TIMEOUT_S + 1)
        assert not peer.codec.draining
        hello(peer.requests[0])
        peer.exchange()
        peer.pass_time(server.IDLE_TIMEOUT_S + 1)
        assert peer.codec.draining

    def test_a_lost_connection_leaves_no_timer(self) -> None:
        peer = H2Peer()
        get(peer)
        peer.codec.connection_lost("reset")
        assert not any(peer.timers._slots.values())


class TestMalformed:
    """Section 8.1.1 and what it refers to: a stream error, others are unharmed."""

    @pytest.mark.parametrize(
        "fields",
        [
            [*GET, (b"Upper", b"x")],
            [*GET, (b"connection", b"close")],
            [*GET, (b"transfer-encoding", b"chunked")],
            [*GET, (b"keep-alive", b"1")],
            [*GET, (b"upgrade", b"h2c")],
            [*GET, (b"proxy-connection", b"x")],
            [*GET, (b"te", b"gzip")],
            [*GET, (b"x", b"a\r\nb: c")],
            [*GET, (b"x", b"a\0b")],
            [*GET, (b"x", b" a")],
            [*GET, (b"x y", b"a")],
            [*GET, (b"", b"a")],
            [*GET, (b":status", b"200")],
            [*GET, (b":unknown", b"x")],
            [*GET, (b":path", b"/again")],
            [(b"x", b"y"), *GET],
            GET[1:],
            [GET[0], *GET[2:]],
            [*GET[:2], GET[3]],
            [*GET[:2], (b":path", b""), GET[3]],
            [*GET[:2], (b":path", b"/a b"), GET[3]],
            [*GET[:2], (b":path", b"/a\r\nx: y"), GET[3]],
            [(b":method", b"G T"), *GET[1:]],
            [*GET[:3], (b":authority", b"a b")],
            [*GET, (b"host", b"other")],
            [*GET, (b"content-length", b"1"), (b"content-length", b"2")],
            [*GET, (b"content-length", b"-1")],
            [*GET, (b"content-length", b"x")],
            [*GET, (b"content-length", b"7")],
            [(b":method", b"CONNECT"), (b":authority", b"api:80")],
            [(b":method", b"CONNECT"), (b":authority", b"api:80"), (b":protocol", b"websocket")],
        ],
        ids=repr,
    )
    def test_a_head(self, fields: list[tuple[bytes, bytes]]) -> None:
        peer = H2Peer()
        peer.on_request = hello
        peer.codec.data_received(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(fields)))
        peer.codec.data_received(frame(HEADERS, END_STREAM | END_HEADERS, 3, block(GET)))
        sent = peer.wire.take()
        assert frame(RST, 0, 1, b"\0\0\0\1") in sent
        assert len(peer.requests) == 1
        assert b"hello" in sent
        assert peer.codec.active == 0

    @pytest.mark.parametrize(("length", "body"), [(b"3", b"abcd"), (b"5", b"abcd"), (b"0", b"a")])
    def test_a_length_that_is_no_truth(self, length: bytes, body: bytes) -> None:
        peer = H2Peer()
        head = block([*POST, (b"content-length", length)])
        peer.codec.data_received(frame(HEADERS, END_HEADERS, 1, head) + frame(DATA, END_STREAM, 1, body))
        assert frame(RST, 0, 1, b"\0\0\0\1") in peer.wire.take()
        assert peer.requests[0].was_reset is Reset.PROTOCOL_ERROR
        assert not peer.requests[0].ended

    @pytest.mark.parametrize("fields", [[(b":path", b"/")], [(b"connection", b"x")], [(b"X", b"y")]], ids=repr)
    def test_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        peer = H2Peer()
        peer.codec.data_received(frame(HEADERS, END_HEADERS, 1, block(POST)))
        peer.codec.data_received(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(fields)))
        assert frame(RST, 0, 1, b"\0\0\0\1") in peer.wire.take()
        assert peer.requests[0].was_reset is Reset.PROTOCOL_ERROR


class TestBrokenFrames:
    """Sections 4 to 6: a connection error with its code, and every open request is told."""

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(DATA, 0, 0, b"x"), PROTOCOL),
            (frame(HEADERS, 5, 0, block(GET)), PROTOCOL),
            (frame(HEADERS, 5, 2, block(GET)), PROTOCOL),
            (frame(DATA, 0, 9, b"x"), PROTOCOL),
            (frame(RST, 0, 0, b"\0\0\0\0"), PROTOCOL),
            (frame(RST, 0, 9, b"\0\0\0\0"), PROTOCOL),
            (frame(RST, 0, 1, b"\0\0\0"), FRAME_SIZE),
            (frame(SETTINGS, 0, 1), PROTOCOL),
            (frame(SETTINGS, 0, 0, b"x" * 5), FRAME_SIZE),
            (frame(SETTINGS, 1, 0, b"x" * 6), FRAME_SIZE),
            (frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"), PROTOCOL),
            (frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), FLOW),
            (frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"), PROTOCOL),
            (frame(PUSH, 4, 1, b"\0\0\0\2" + block(GET)), PROTOCOL),
            (frame(PING, 0, 0, b"x" * 7), FRAME_SIZE),
            (frame(PING, 0, 1, b"x" * 8), PROTOCOL),
            (frame(GOAWAY, 0, 1, b"x" * 8), PROTOCOL),
            (frame(WINDOW, 0, 0, b"\0\0\0\0"), PROTOCOL),
            (frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), FLOW),
            (frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff"), FLOW),
            (frame(WINDOW, 0, 0, b"\0\0\0"), FRAME_SIZE),
            (frame(WINDOW, 0, 9, b"\0\0\0\1"), PROTOCOL),
            (frame(CONTINUATION, 4, 1, b""), PROTOCOL),
            (frame(HEADERS, 1, 3, block(GET)) + frame(PING, 0, 0, b"x" * 8), PROTOCOL),
            (frame(HEADERS, 5, 3, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION),
            (frame(HEADERS, 5, 3, b"\x80"), COMPRESSION),
            (frame(HEADERS, 5, 3, b"\x3f\xff\xff\x7f"), COMPRESSION),
            (frame(HEADERS, 5 | 8, 3, b"\xff" + block(GET)), PROTOCOL),
            (frame(DATA, 8, 1, b"\xff"), PROTOCOL),
            (b"\xff\xff\xff\0\0\0\0\0\1", FRAME_SIZE),
        ],
        ids=lambda value: value.hex()[:40] if isinstance(value, bytes) else str(value),
    )
    def test_the_connection_ends(self, data: bytes, code: int) -> None:
        peer = H2Peer()
        get(peer, POST, end=False)
        peer.raw(data)
        assert ended_with(peer) == code
        assert peer.requests[0].was_reset is Reset.PROTOCOL_ERROR
        assert len(peer.violations) == 1
        assert peer.codec.active == 0

    def test_a_wrong_preface(self) -> None:
        side = ServerSide()
        side.codec.data_received(b"GET / HTTP/1.1\r\nhost: api\r\n\r\n")
        assert side.wire.closed
        assert side.wire.take()[-4:] == b"\0\0\0\1"
        assert len(side.violations) == 1

    def test_more_than_the_window_of_a_stream(self) -> None:
        peer = H2Peer()
        get(peer, POST, end=False)
        peer.requests[0].stream.pause_reading()
        for _ in range(limits.STREAM_WINDOW_BYTES // 16384 + 1):
            peer.codec.data_received(frame(DATA, 0, 1, b"x" * 16384))
        peer.exchange()
        assert ended_with(peer) == FLOW or resets(peer) == {1: FLOW}
        assert peer.requests[0].was_reset is Reset.PROTOCOL_ERROR

    @pytest.mark.parametrize(
        "data",
        [frame(42, 255, 1, b"x"), frame(PRIORITY, 0, 1, b"\0\0\0\0\1"), frame(SETTINGS, 0, 0, b"\xff\xff\0\0\0\0")],
        ids=["unknown frame", "priority", "unknown setting"],
    )
    def test_what_is_unknown_is_ignored(self, data: bytes) -> None:
        peer = H2Peer()
        get(peer, POST, end=False)
        peer.raw(data)
        assert not peer.wire.closed
        hello(peer.requests[0])
        peer.exchange()
        assert peer.of(ResponseReceived)


class TestFloods:
    def test_more_streams_than_allowed(self) -> None:
        peer = H2Peer()
        data = b"".join(frame(HEADERS, 5, 1 + 2 * at, block(GET)) for at in range(limits.MAX_STREAMS + 1))
        peer.raw(data)
        assert ended_with(peer) == PROTOCOL
        assert len(peer.requests) == limits.MAX_STREAMS
        assert all(request.was_reset for request in peer.requests)

    def test_rapid_reset(self) -> None:
        peer = H2Peer()
        made = 0
        while not peer.wire.closed and made < 20_000:
            data = b""
            for _ in range(500):
                data += frame(HEADERS, 5, 1 + 2 * made, block(GET)) + frame(RST, 0, 1 + 2 * made, b"\0\0\0\x08")
                made += 1
            peer.codec.data_received(data)
            peer.wire.take()
        assert peer.wire.closed
        assert len(peer.violations) == 1
        assert len(peer.requests) < 10_000
        assert all(request.was_reset for request in peer.requests)

    def test_continuations(self) -> None:
        peer = H2Peer()
        peer.raw(frame(HEADERS, 1, 1, b"") + frame(CONTINUATION, 0, 1, b"\0\1a\1b") * 100)
        assert ended_with(peer) == CALM
        assert peer.requests == []
        assert len(peer.violations) == 1

    def test_a_huge_header_list(self) -> None:
        peer = H2Peer()
        fields = [(b"x-%03d" % at, b"v" * 200) for at in range(60)]
        data = block([*GET, *fields])
        peer.raw(frame(HEADERS, 1, 1, data[:16384]) + frame(CONTINUATION, 4, 1, data[16384:]))
        assert len(peer.requests) == 1
        fields = [(b"x-%03d" % at, b"v" * 1000) for at in range(70)]
        data = block([*GET, *fields])
        pieces = [data[at : at + 16384] for at in range(0, len(data), 16384)]
        peer.codec.data_received(frame(HEADERS, 1, 3, pieces[0]))
        for piece in pieces[1:]:
            peer.codec.data_received(frame(CONTINUATION, 0, 3, piece))
        peer.exchange()
        assert ended_with(peer) == CALM
        assert len(peer.requests) == 1

    def test_an_hpack_bomb(self) -> None:
        """One large field in the table, then thousands of references of one byte each."""
        peer = H2Peer()
        large = b"\x40\1x" + hpack.hpack.encode_integer(4000, 7) + b"v" * 4000
        peer.raw(frame(HEADERS, 5, 1, block(GET) + large + b"\xbe" * 10_000))
        assert ended_with(peer) == CALM
        assert peer.requests == []

    def test_pings_whose_answers_are_not_read(self) -> None:
        peer = H2Peer()
        peer.codec.writing_blocked()
        for _ in range(3):
            peer.codec.data_received(frame(PING, 0, 0, b"x" * 8) * 500)
        assert peer.wire.closed
        assert len(peer.violations) == 1

    def test_settings_whose_answers_are_not_read(self) -> None:
        peer = H2Peer()
        peer.codec.writing_blocked()
        for _ in range(3):
            peer.codec.data_received(frame(SETTINGS, 0, 0) * 500)
        assert peer.wire.closed

    def test_many_settings_in_one_frame(self) -> None:
        peer = H2Peer()
        peer.raw(frame(SETTINGS, 0, 0, b"\0\1\0\0\x10\0" * 1000))
        assert ended_with(peer) == CALM

    def test_empty_frames(self) -> None:
        peer = H2Peer()
        get(peer, POST, end=False)
        sent = 0
        while not peer.wire.closed and sent < 100_000:
            peer.codec.data_received(frame(DATA, 0, 1) * 1000)
            peer.wire.take()
            sent += 1000
        assert peer.wire.closed
        assert peer.requests[0].was_reset is Reset.PROTOCOL_ERROR

    def test_a_thousand_pings_are_answered(self) -> None:
        peer = H2Peer()
        for _ in range(1000):
            peer.codec.data_received(frame(PING, 0, 0, b"x" * 8))
            assert peer.wire.take() == frame(PING, 1, 0, b"x" * 8)


def test_the_preface_may_come_with_the_first_request() -> None:
    side = ServerSide()
    side.on_request = hello
    side.codec.data_received(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, block(GET)))
    assert b"hello" in side.wire.take()
