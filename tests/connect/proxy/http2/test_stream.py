from __future__ import annotations

import pytest
from meshtest.h2pair import Answer, Pair, head

from meshagent.connect.proxy.http.messages import ResponseHead
from meshagent.connect.proxy.http.streams import Reset
from meshagent.connect.proxy.http2 import limits


def test_a_reader_that_stops_stops_its_writer_alone() -> None:
    pair = Pair()
    slow, stream = pair.ask(head(b"/slow"))
    quick, _ = pair.ask(head(b"/quick"))
    pair.pump()
    stream.pause_reading()
    first, second = pair.requests
    first.stream.send_head(ResponseHead(200, []), False)
    sent = 0
    while not first.blocked and sent < 1 << 24:
        first.stream.send_data(b"x" * 16384, False)
        sent += 16384
        pair.pump()
    assert first.blocked
    assert limits.STREAM_WINDOW_BYTES < sent < limits.STREAM_WINDOW_BYTES + limits.STREAM_HIGH_BYTES + 65536
    assert slow.body == b""
    second.answer(200, b"y" * 1_000_000)
    pair.pump()
    assert len(quick.body) == 1_000_000
    stream.resume_reading()
    pair.pump()
    assert not first.blocked
    first.stream.send_data(b"", True)
    pair.pump()
    assert len(slow.body) == sent
    assert slow.ended
    assert pair.client.owed == 0


def test_an_answer_that_ended_is_read_later() -> None:
    pair = Pair()
    answer, stream = pair.ask()
    pair.pump()
    stream.pause_reading()
    pair.requests[0].stream.send_head(ResponseHead(200, []), False)
    pair.requests[0].stream.send_data(b"hello", False)
    pair.requests[0].stream.send_trailers([(b"a", b"b")])
    pair.pump()
    assert (answer.status, answer.body) == (200, b"")
    pair.client.connection_lost("")
    stream.resume_reading()
    assert (answer.body, answer.trailers, answer.was_reset) == (b"hello", [(b"a", b"b")], None)


def test_a_handler_that_stops_while_it_is_told_is_told_no_more() -> None:
    pair = Pair()
    answer, stream = pair.ask()
    pair.pump()
    stream.pause_reading()
    pair.requests[0].stream.send_head(ResponseHead(200, []), False)
    for letter in (b"a", b"b"):
        pair.requests[0].stream.send_data(letter, False)
        pair.pump()
    taken = answer.on_data

    def once(data: bytes, end: bool) -> None:
        taken(data, end)
        stream.pause_reading()

    answer.on_data = once  # type: ignore[method-assign]
    stream.resume_reading()
    assert answer.body == b"a"
    stream.resume_reading()
    assert answer.body == b"ab"


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (Reset.LOCAL, Reset.REMOTE),
        (Reset.REFUSED, Reset.REFUSED),
        (Reset.OVERFLOW, Reset.REFUSED),
        (Reset.CONNECTION_LOST, Reset.REMOTE),
    ],
)
def test_a_reset_arrives(why: Reset, told: Reset) -> None:
    pair = Pair()
    answer, _ = pair.ask()
    pair.pump()
    pair.requests[0].stream.reset(why)
    pair.pump()
    assert answer.was_reset is told
    assert pair.client.active == pair.codec.active == 0
    answer, stream = pair.ask(end=False)
    pair.pump()
    stream.reset(why)
    pair.pump()
    assert pair.requests[1].was_reset is told
    assert isinstance(answer, Answer)
    assert answer.was_reset is None
