"""Connections to one instance: reuse, bounds, those who wait, what is unused."""

from __future__ import annotations

from meshtest.http7 import FakeWire, Now, request

from meshagent.connect.proxy.cluster.breakers import Breakers
from meshagent.connect.proxy.http.h1.client import Http1ClientCodec
from meshagent.connect.proxy.http.hooks import PoolWaiter
from meshagent.connect.proxy.http.messages import Headers, ResponseHead
from meshagent.connect.proxy.http.pool import IDLE_TIMEOUT_S, HostPool
from meshagent.connect.proxy.http.streams import ClientCodec, Reset
from meshagent.connect.proxy.http.timers import TimerWheel
from meshagent.connect.resilience import Limits

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Waiting(PoolWaiter):
    """Asks once it has a connection."""

    def __init__(self, fresh: bool = False) -> None:
        self.fresh = fresh
        self.codec: ClientCodec | None = None
        self.why: Reset | None = None
        self.ended = False

    def on_connection(self, codec: ClientCodec) -> None:
        self.codec = codec
        codec.open_stream(request(), True, self)

    def on_no_connection(self, why: Reset, detail: str) -> None:
        self.why = why

    def on_informational(self, head: ResponseHead) -> None: ...
    def on_head(self, head: ResponseHead, end: bool) -> None:
        self.ended = end

    def on_data(self, data: bytes, end: bool) -> None: ...
    def on_trailers(self, trailers: Headers) -> None: ...
    def on_reset(self, why: Reset) -> None:
        self.why = why

    def on_blocked(self) -> None: ...
    def on_writable(self) -> None: ...


class World:
    def __init__(self, **limits: int) -> None:
        self.now = Now()
        self.timers = TimerWheel(self.now)
        self.breaker = Breakers(Limits(**limits))
        self.asked = 0
        self.pool = HostPool(self.connect, self.timers, self.breaker)
        self.wires: list[FakeWire] = []

    def connect(self, pool: HostPool) -> None:
        self.asked += 1

    def arrive(self) -> Http1ClientCodec:
        wire = FakeWire()
        self.wires.append(wire)
        codec = Http1ClientCodec(wire, self.timers)
        self.pool.connected(codec)
        return codec

    def ask(self, fresh: bool = False) -> Waiting:
        waiter = Waiting(fresh)
        codec = self.pool.acquire(waiter)
        if codec is not None:
            waiter.on_connection(codec)
        return waiter


def test_a_connection_is_opened_once_and_used_again() -> None:
    world = World()
    first = world.ask()
    assert (world.asked, first.codec) == (1, None)
    codec = world.arrive()
    assert first.codec is codec
    codec.data_received(ANSWER)
    assert world.ask().codec is codec
    assert world.asked == 1


def test_those_who_wait_get_what_comes_free() -> None:
    world = World(max_connections=1)
    first, second = world.ask(), world.ask()
    codec = world.arrive()
    assert (first.codec, second.codec) == (codec, None)
    codec.data_received(ANSWER)
    assert second.codec is codec
    codec.data_received(ANSWER)
    assert second.ended
    assert (world.asked, world.breaker.connections, world.breaker.pending) == (1, 1, 0)


def test_bounds() -> None:
    world = World(max_connections=1, max_pending_requests=1)
    world.ask()
    codec = world.arrive()
    waiting = world.ask()
    assert world.ask().why is Reset.OVERFLOW
    codec.connection_lost("")
    assert world.breaker.connections == 1, "another one is on its way for who waits"
    assert world.asked == 2
    world.arrive()
    assert waiting.codec is not None
    none = World(max_connections=0)
    assert none.ask().why is Reset.OVERFLOW
    assert none.breaker.pending == 0


def test_a_failure_is_told_to_those_who_waited_for_it() -> None:
    world = World()
    waiting = [world.ask(), world.ask()]
    world.pool.failed(Reset.CONNECT_TIMEOUT, "timed out")
    assert [one.why for one in waiting] == [Reset.CONNECT_TIMEOUT, None]
    world.pool.failed(Reset.CONNECT_FAILURE, "refused")
    assert waiting[1].why is Reset.CONNECT_FAILURE
    assert (world.breaker.connections, world.breaker.pending) == (0, 0)


def test_one_who_leaves() -> None:
    world = World()
    waiter = Waiting()
    assert world.pool.acquire(waiter) is None
    world.pool.cancel(waiter)
    world.pool.cancel(waiter)
    codec = world.arrive()
    assert waiter.codec is None
    assert world.breaker.pending == 0
    assert world.ask().codec is codec


def test_a_fresh_one() -> None:
    world = World()
    world.ask()
    used = world.arrive()
    used.data_received(ANSWER)
    waiter = world.ask(fresh=True)
    assert waiter.codec is None
    new = world.arrive()
    assert waiter.codec is new


def test_what_is_unused_is_closed_the_oldest_first() -> None:
    world = World()
    for _ in range(2):
        world.ask()
    codecs = [world.arrive(), world.arrive()]
    for codec in codecs:
        codec.data_received(ANSWER)
    for _ in range(6):
        world.now.time += IDLE_TIMEOUT_S / 4
        world.timers.advance()
        world.ask()
        codecs[1].data_received(ANSWER)
    assert codecs[0].closed
    assert not codecs[1].closed
    assert world.breaker.connections == 1


def test_the_end_of_an_instance() -> None:
    world = World()
    world.ask()
    codec = world.arrive()
    waiting = world.ask()
    world.pool.close()
    assert waiting.why is Reset.CONNECT_FAILURE
    assert not codec.closed
    codec.data_received(ANSWER)
    assert codec.closed
    assert world.ask().why is Reset.CONNECT_FAILURE
    late = world.arrive()
    assert late.closed


def test_renewal() -> None:
    world = World()
    world.ask()
    codec = world.arrive()
    codec.data_received(ANSWER)
    world.pool.renew()
    assert codec.closed
    world.ask()
    assert world.asked == 2


def test_one_that_ended_on_its_way() -> None:
    world = World()
    waiting = world.ask()
    codec = Http1ClientCodec(FakeWire(), world.timers)
    codec.connection_lost("")
    world.pool.connected(codec)
    assert waiting.why is Reset.CONNECT_FAILURE
    assert world.breaker.connections == 0
