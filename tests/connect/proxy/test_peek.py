"""The first bytes of a connection say whose it is, and are handed on with it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.meshcerts import TrustDomain

from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import IN, Tls
from meshagent.connect.proxy.peek import Choose, Peek, begins_tls


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.BaseProtocol | None = None
        self.aborted = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def abort(self) -> None:
        self.aborted = True


class Taker(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.transport: object = None
        self.ended = False

    def connection_made(self, transport: object) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.ended = True
        return True


class Buffered(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.data = b""

    def buffer_updated(self, nbytes: int) -> None:
        self.data += bytes(IN[:nbytes])


class World:
    def __init__(self, choose: Choose, timeout_s: float = 60.0) -> None:
        self.closed = 0
        self.transport = Transport()
        self.peek = Peek(choose, timeout_s, self._closed)
        self.peek.connection_made(self.transport)

    def _closed(self, peek: Peek) -> None:
        self.closed += 1


def test_a_client_hello_is_known() -> None:
    domain = TrustDomain()
    client = Tls(Contexts(domain.snapshot("web")).client, server_side=False)
    client.start()
    hello = client.outgoing()
    assert begins_tls(hello) is True
    assert [begins_tls(hello[:size]) for size in range(7)] == [None] * 6 + [True]


@pytest.mark.parametrize("data", [b"G", b"SSH-2.0", b"\x16\x02\x01", b"\x16\x03\x01\x00\x05\x02", b"\x17\x03\x03"])
def test_anything_else_is_none(data: bytes) -> None:
    assert begins_tls(data) is False


@given(st.binary(max_size=12))
def test_any_bytes_say_yes_no_or_wait(data: bytes) -> None:
    assert begins_tls(data) is not None or len(data) < 6


def test_what_has_come_is_handed_on() -> None:
    async def run() -> None:
        taker = Taker()
        world = World(lambda data, last: (taker, 1) if len(data) >= 3 else None)
        world.peek.data_received(b"a")
        world.peek.data_received(b"b")
        assert world.transport.protocol is None
        world.peek.data_received(b"cd")
        assert (world.transport.protocol, taker.data, taker.transport) == (taker, b"bcd", world.transport)
        assert world.closed == 1
        world.peek.connection_lost(None)
        assert world.closed == 1

    asyncio.run(run())


def test_a_protocol_with_buffers_gets_all_of_it() -> None:
    async def run() -> None:
        taker = Buffered()
        world = World(lambda data, last: (taker, 0) if data else None)
        data = bytes(range(256)) * 3000
        world.peek.data_received(data)
        assert taker.data == data

    asyncio.run(run())


def test_the_end_is_handed_on_too() -> None:
    async def run() -> None:
        taker = Taker()
        world = World(lambda data, last: (taker, 0) if last else None)
        world.peek.data_received(b"x")
        assert world.peek.eof_received() is True
        assert (taker.data, taker.ended, world.closed) == (b"x", True, 1)

    asyncio.run(run())


@pytest.mark.parametrize("silent", [True, False])
def test_who_says_too_little_is_decided_or_cut(silent: bool) -> None:
    async def run() -> None:
        taker = Taker()
        done = asyncio.Event()

        def choose(data: bytes, last: bool) -> tuple[Taker, int] | None:
            if last:
                done.set()
            return (taker, 0) if last and silent else None

        world = World(choose, timeout_s=0.0)
        await asyncio.wait_for(done.wait(), 30)
        assert (world.transport.aborted, taker.transport is None, world.closed) == (not silent, not silent, 1)

    asyncio.run(run())


def test_cut_from_outside() -> None:
    async def run() -> None:
        world = World(lambda data, last: None)
        world.peek.abort()
        assert (world.transport.aborted, world.closed) == (True, 1)
        world.peek.data_received(b"late")
        assert world.transport.protocol is None

    asyncio.run(run())


def test_one_that_is_known_before_it_says_anything_is_handed_on_at_once() -> None:
    taker, transport, closed = Taker(), Transport(), []
    peek = Peek(lambda data, last: None, 60.0, closed.append, lambda given: taker if given is transport else None)
    peek.connection_made(transport)
    assert (transport.protocol, taker.transport, taker.data) == (taker, transport, b"")
    assert closed == [peek]
