"""One connection fed by hand: pipelining, limits, clients that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meshtest.dnstext import answer_of, question_bytes

from meshagent.dns.responder import Elsewhere
from meshagent.dns.tcp import MAX_WAITING, Connection, Connections


class Transport(asyncio.Transport):
    """Keeps what is written; `full` makes the protocol wait as a slow reader does."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closed = self.aborted = False
        self.full = False
        self.protocol: Connection | None = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        if self.full and self.protocol is not None:
            self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
        if self.protocol is not None:
            self.protocol.connection_lost(None)


class Wire:
    """A server's connections, and those who connect."""

    def __init__(self, shop: Any, **limits: Any) -> None:
        self.now = 0.0
        self.counted = 0
        self.waiting: list[Callable[[bytes], None]] = []
        self.connections = Connections(
            shop.responder, shop.responder.reply, self.outside, lambda: self.now, self.count, **limits
        )

    def count(self, count: int, seconds: float) -> None:
        self.counted += count

    def outside(self, elsewhere: Elsewhere, send: Callable[[bytes], None]) -> None:
        self.waiting.append(send)

    def connect(self) -> tuple[Connection, Transport]:
        connection, transport = Connection(self.connections), Transport()
        transport.protocol = connection
        connection.connection_made(transport)
        return connection, transport


@pytest.fixture
def wire(shop: Any) -> Wire:
    return Wire(shop)


def framed(*packets: bytes) -> bytes:
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


def messages(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : end])
        at = end
    assert at == len(data)
    return found


def query(name: str = "web.service.consul", number: int = 1) -> bytes:
    return number.to_bytes(2, "big") + question_bytes({"name": name, "type": "A"})[2:]


def test_many_queries_at_once_are_answered_in_turn(wire: Wire) -> None:
    # D27
    connection, transport = wire.connect()
    connection.data_received(framed(*(query(number=number) for number in range(50))))
    assert [int.from_bytes(one[:2], "big") for one in messages(transport.written)] == list(range(50))
    assert wire.counted == 50


@pytest.mark.parametrize("step", [1, 3, 7])
def test_queries_may_come_in_pieces(wire: Wire, step: int) -> None:
    connection, transport = wire.connect()
    data = framed(query(number=1), query("nope.service.consul", 2), query(number=3))
    for at in range(0, len(data), step):
        connection.data_received(data[at : at + step])
    answers = [answer_of(one, check_id=False) for one in messages(transport.written)]
    assert [one.rcode for one in answers] == ["NOERROR", "NXDOMAIN", "NOERROR"]


def test_what_deserves_no_answer_gets_none(wire: Wire) -> None:
    connection, transport = wire.connect()
    connection.data_received(framed(b"", b"\x00", query()))
    assert len(messages(transport.written)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80), max_size=5))
def test_noise_is_survived(shop: Any, chunks: list[bytes]) -> None:
    connection, transport = Wire(shop).connect()
    for chunk in chunks:
        connection.data_received(chunk)
    messages(transport.written)


class TestClientsThatDoNotRead:
    def test_nothing_more_is_answered_until_they_do(self, wire: Wire, shop: Any) -> None:
        for number in range(500):
            shop.service("n2", "many", service_id=f"m{number}", address=f"10.2.{number >> 8}.{number & 255}")
        connection, transport = wire.connect()
        transport.full = True
        connection.data_received(framed(*(query("many.service.consul", number) for number in range(100))))
        first = len(messages(transport.written))
        assert 0 < first < 20
        assert not transport.reading
        transport.full = False
        connection.resume_writing()
        assert len(messages(transport.written)) == 100
        assert transport.reading

    def test_they_are_cut_off_in_the_end(self, wire: Wire) -> None:
        connection, transport = wire.connect()
        transport.full = True
        connection.data_received(framed(query()))
        wire.now = 9.0
        wire.connections.sweep(wire.now)
        assert not transport.aborted
        wire.now = 11.0
        wire.connections.sweep(wire.now)
        assert transport.aborted and len(wire.connections) == 0


class TestLimits:
    def test_silent_connections_are_closed(self, wire: Wire) -> None:
        _, silent = wire.connect()
        busy, open_transport = wire.connect()
        wire.now = 8.0
        busy.data_received(framed(query()))
        wire.now = 11.0
        wire.connections.sweep(wire.now)
        assert (silent.aborted, open_transport.aborted) == (True, False)

    def test_the_quietest_makes_room_for_a_new_one(self, shop: Any) -> None:
        wire = Wire(shop, max_connections=3)
        made = []
        for number in range(3):
            wire.now = float(number)
            made.append(wire.connect())
        wire.now = 3.0
        made[0][0].data_received(framed(query()))
        wire.connect()
        assert [transport.aborted for _, transport in made] == [False, True, False]
        assert len(wire.connections) == 3

    def test_close_ends_all(self, wire: Wire) -> None:
        transports = [wire.connect()[1] for _ in range(3)]
        wire.connections.close()
        assert all(transport.aborted for transport in transports)


class TestRecursors:
    @pytest.fixture
    def outside(self, scene: Any) -> Wire:
        return Wire(scene(recursors=("127.0.0.1",)))

    def test_answers_may_overtake_each_other(self, outside: Wire) -> None:
        connection, transport = outside.connect()
        connection.data_received(
            framed(query("www.example.com", 1), query("www.example.org", 2), query("nope.service.consul", 3))
        )
        assert [one[:2] for one in messages(transport.written)] == [b"\x00\x03"]
        for send in reversed(outside.waiting):
            send(b"answer")
        assert [one[:2] for one in messages(transport.written)] == [b"\x00\x03", b"\x00\x02", b"\x00\x01"]

    def test_only_so_many_wait_at_once(self, outside: Wire) -> None:
        connection, transport = outside.connect()
        connection.data_received(framed(*(query("www.example.com", number) for number in range(MAX_WAITING + 10))))
        assert len(outside.waiting) == MAX_WAITING
        assert not transport.reading
        outside.waiting[0](b"answer")
        assert len(outside.waiting) == MAX_WAITING + 1
        for send in list(outside.waiting[1:]):
            send(b"answer")
        while len(messages(transport.written)) < MAX_WAITING + 10:
            outside.waiting[len(messages(transport.written))](b"answer")
        assert transport.reading

    def test_a_client_that_has_said_all_still_gets_its_answer(self, outside: Wire) -> None:
        connection, transport = outside.connect()
        connection.data_received(framed(query("www.example.com")))
        assert connection.eof_received()
        outside.waiting[0](b"answer")
        assert len(messages(transport.written)) == 1
        assert transport.closed

    def test_an_answer_to_one_who_left_is_dropped(self, outside: Wire) -> None:
        connection, transport = outside.connect()
        connection.data_received(framed(query("www.example.com")))
        connection.connection_lost(None)
        outside.waiting[0](b"answer")
        assert transport.written == b""

    def test_without_waiting_answers_the_end_is_the_end(self, wire: Wire) -> None:
        connection, _ = wire.connect()
        connection.data_received(framed(query()))
        assert not connection.eof_received()
        assert cast(Any, connection)._waiting == 0
