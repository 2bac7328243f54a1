"""What both sides have in common: bytes however they come, flow control, pressure, the end of a connection."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.h2pair import PREFACE, H2Peer, Pair, ServerSide, head

from meshagent.connect.proxy.http.messages import ResponseHead
from meshagent.connect.proxy.http.streams import Reset
from meshagent.connect.proxy.http2 import limits

FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"api")]
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class TestBytes:
    @given(st.binary(max_size=200), st.integers(1, 50), st.booleans())
    @settings(max_examples=150, deadline=None)
    def test_any_bytes_are_survived(self, data: bytes, step: int, polite: bool) -> None:
        side = ServerSide()
        data = (PREFACE + EMPTY_SETTINGS if polite else b"") + data
        for at in range(0, len(data), step):
            side.codec.data_received(data[at : at + step])
            if side.wire.closed:
                break
            side.wire.take()
        side.codec.connection_lost("over")
        assert side.codec.active == 0

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 42]),
                st.integers(0, 255),
                st.sampled_from([0, 1, 2, 3, 5, 2**31 - 1]),
                st.binary(max_size=40),
            ),
            max_size=12,
        ),
        st.integers(1, 60),
    )
    @settings(max_examples=150, deadline=None)
    def test_any_frames_are_survived(self, frames: list[tuple[int, int, int, bytes]], step: int) -> None:
        side = ServerSide()
        side.on_request = lambda request: request.answer(200, b"hello")
        data = PREFACE + EMPTY_SETTINGS + b"".join(frame(*one) for one in frames)
        for at in range(0, len(data), step):
            side.codec.data_received(data[at : at + step])
            side.wire.take()
            if side.wire.closed:
                break
        side.codec.connection_lost("over")
        assert all(request.ended or request.was_reset for request in side.requests)

    names = st.from_regex(r"x-[a-z0-9-]{0,20}", fullmatch=True)
    values = st.from_regex(r"([!-~]([ -~]{0,30}[!-~])?)?", fullmatch=True)

    @given(st.lists(st.tuples(names, values), max_size=20), st.integers(0, 300), st.booleans(), st.integers(1, 70))
    @settings(max_examples=100, deadline=None)
    def test_headers_are_what_the_hpack_library_wrote(
        self, fields: list[tuple[str, str]], table: int, huffman: bool, step: int
    ) -> None:
        side = ServerSide()
        encoder = hpack.Encoder()
        encoder.header_table_size = table
        sent = [(name.encode(), value.encode()) for name, value in fields]
        data = PREFACE + EMPTY_SETTINGS
        for stream in (1, 3):
            data += frame(1, 5, stream, encoder.encode(FIRST + sent, huffman=huffman))
        for at in range(0, len(data), step):
            side.codec.data_received(data[at : at + step])
        assert [request.head.headers for request in side.requests] == [sent, sent]

    def test_what_we_write_is_what_the_hpack_library_reads(self) -> None:
        peer = H2Peer()
        peer.on_request = lambda request: request.answer(200, b"", [(b"x-a", b"1"), (b"x-a", b"2")])
        for _ in range(3):
            stream = peer.h2.get_next_available_stream_id()
            peer.h2.send_headers(stream, FIRST, end_stream=True)
            peer.exchange()
        got = [event.headers for event in peer.events if hasattr(event, "headers")]
        assert got == [[(b":status", b"200"), (b"x-a", b"1"), (b"x-a", b"2")]] * 3


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_request_and_its_answer_in_pieces(step: int) -> None:
    pair = Pair(step)
    answer, stream = pair.ask(head(b"/x", b"POST"), False)
    stream.send_data(b"ab", False)
    stream.send_data(b"cd", False)
    stream.send_trailers([(b"x-sum", b"1")])
    pair.pump()
    (request,) = pair.requests
    assert (request.body, request.trailers, request.ended) == (b"abcd", [(b"x-sum", b"1")], True)
    request.stream.send_informational(ResponseHead(103, [(b"link", b"a")]))
    request.stream.send_head(ResponseHead(200, []), False)
    request.stream.send_data(b"hello", False)
    request.stream.send_trailers([(b"grpc-status", b"0")])
    pair.pump()
    assert [one.status for one in answer.informational] == [103]
    assert (answer.status, answer.body, answer.trailers) == (200, b"hello", [(b"grpc-status", b"0")])
    assert (pair.codec.active, pair.client.active) == (0, 0)


class TestFlow:
    def test_many_streams_may_not_queue_what_one_may(self) -> None:
        pair = Pair()
        streams = [pair.ask(head(b"/%d" % at))[1] for at in range(60)]
        pair.pump()
        for stream in streams:
            stream.pause_reading()
        for request in pair.requests:
            request.stream.send_head(ResponseHead(200, []), False)
        for _ in range(60):
            for request in pair.requests:
                if not request.blocked:
                    request.stream.send_data(b"x" * 16384, False)
            pair.pump()
        assert all(request.blocked for request in pair.requests)
        queued = pair.codec.engine.queued_body_size()
        assert queued <= limits.CONNECTION_HIGH_BYTES + 60 * (limits.LOW_BYTES + 2 * 16384)

    def test_a_peer_that_does_not_read_gets_no_frames(self) -> None:
        pair = Pair()
        answer, _ = pair.ask()
        pair.pump()
        pair.codec.writing_blocked()
        pair.requests[0].answer(200, b"hello")
        assert pair.wire.take() == b""
        pair.codec.writing_resumed()
        pair.pump()
        assert answer.body == b"hello"

    def test_resets_in_the_middle_of_frames_do_not_close_the_window(self) -> None:
        """The engine forgets to acknowledge pieces of a frame whose stream is reset."""
        pair = Pair()
        for _ in range(1100):
            answer, stream = pair.ask()
            pair.pump()
            request = pair.requests.pop()
            request.stream.send_head(ResponseHead(200, []), False)
            request.stream.send_data(b"x" * 16384, False)
            data = pair.wire.take()
            pair.client.data_received(data[:-1])
            assert answer.status == 200
            stream.reset(Reset.LOCAL)
            pair.client.data_received(data[-1:])
            pair.pump()
        assert pair.client.engine.local_window_size > limits.CONNECTION_WINDOW_BYTES // 4
        answer, _ = pair.ask()
        pair.pump()
        pair.requests[-1].answer(200, b"x" * (1 << 20))
        pair.pump()
        assert len(answer.body) == 1 << 20


class TestEnd:
    def test_every_stream_is_told_once(self) -> None:
        pair = Pair()
        answers = [pair.ask()[0] for _ in range(3)]
        pair.pump()
        pair.client.connection_lost("reset by peer")
        pair.client.connection_lost("again")
        pair.codec.connection_lost("reset by peer")
        assert all(answer.calls == ["reset"] for answer in answers)
        assert [request.was_reset for request in pair.requests] == [Reset.CONNECTION_LOST] * 3

    def test_an_end_of_the_bytes_is_the_end(self) -> None:
        pair = Pair()
        answer, _ = pair.ask()
        pair.client.eof_received()
        assert answer.was_reset is not None
        assert pair.client_wire.closed

    def test_calls_after_the_end_are_ignored(self) -> None:
        pair = Pair()
        _, stream = pair.ask(end=False)
        pair.pump()
        request = pair.requests[0]
        pair.codec.connection_lost("")
        pair.client.connection_lost("")
        request.answer(200, b"late")
        request.stream.reset(Reset.LOCAL)
        stream.send_data(b"late", False)
        stream.send_trailers([])
        stream.reset(Reset.LOCAL)
        stream.resume_reading()
        pair.client.data_received(b"late")
        assert pair.wire.take() == b""

    def test_a_peer_that_says_nothing_is_left(self) -> None:
        side = ServerSide()
        side.pass_time(limits.HANDSHAKE_S + 1)
        assert side.wire.closed
        assert side.violations == ["no SETTINGS in time"]

    def test_a_peer_that_has_spoken_is_not(self) -> None:
        side = ServerSide()
        side.codec.data_received(PREFACE + EMPTY_SETTINGS)
        side.pass_time(limits.HANDSHAKE_S + 1)
        assert not side.wire.closed
