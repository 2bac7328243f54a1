"""Joined sockets: bytes both ways, ends and resets, over two sidecars' worth of sides and the TLS between them."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from meshtest.meshcerts import TrustDomain

from meshagent.connect.mesh_settings import MeshSettings, TlsBounds
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import BUFFER_BYTES, Tls
from meshagent.connect.proxy.pump import Side, join
from meshagent.connect.proxy.relay import relay_of

TD = TrustDomain()
WEB, API = Contexts(TD.snapshot("web")), Contexts(TD.snapshot("api"))
OLD = Contexts(TD.snapshot("web", mesh=MeshSettings(outgoing=TlsBounds(max_version="TLSv1_2"))))


async def side(handle: socket.socket, tls: Tls | None = None) -> Side:
    """A side of this socket that is ready."""
    ready: asyncio.Future[Side] = asyncio.get_running_loop().create_future()
    await asyncio.get_running_loop().create_unix_connection(lambda: Side(tls, ready.set_result), sock=handle)
    found = await ready
    found.pause()
    return found


class World:
    """`near` and `far` are the two applications; between them one pair of sides, or two with TLS between."""

    def __init__(self, near: socket.socket, far: socket.socket, sides: list[Side]) -> None:
        self.near, self.far, self.sides = near, far, sides
        self.loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """End what is open, and let the transports notice."""
        self.near.close()
        self.far.close()
        for one in self.sides:
            one.abort()
        await asyncio.sleep(0)

    async def read(self, handle: socket.socket, size: int = -1) -> bytes:
        """So many bytes, or all up to the end."""
        got = b""
        while len(got) != size:
            data = await self.loop.sock_recv(handle, min(1 << 20, size - len(got)) if size >= 0 else 1 << 20)
            if not data:
                break
            got += data
        return got


async def plain() -> World:
    (near, one), (two, far) = socket.socketpair(), socket.socketpair()
    sides = [await side(one), await side(two)]
    join(*sides)
    return _world(near, far, sides)


async def through_tls(web: Contexts = WEB) -> World:
    (near, one), (two, three), (four, far) = (socket.socketpair() for _ in range(3))
    client, server = await shaken(two, three, web)
    sides = [await side(one), client, server, await side(four)]
    join(sides[0], client)
    join(server, sides[3])
    return _world(near, far, sides)


async def through_old_tls() -> World:
    """Up to TLS 1.2 the server speaks last in a handshake; an Envoy that calls speaks nothing newer unless told to."""
    return await through_tls(OLD)


async def through_tls_twice() -> World:
    """A gateway ends the TLS of its client and begins its own: two sides with TLS are joined."""
    (near, one), (two, three), (four, five), (six, far) = (socket.socketpair() for _ in range(4))
    client, server = await shaken(two, three, WEB)
    onward, last = await shaken(four, five, WEB)
    sides = [await side(one), client, server, onward, last, await side(six)]
    join(sides[0], client)
    join(server, onward)
    join(last, sides[5])
    return _world(near, far, sides)


async def shaken(one: socket.socket, two: socket.socket, web: Contexts) -> tuple[Side, Side]:
    """A client's and a server's side of two sockets that are joined."""
    client, server = Tls(web.client, server_side=False), Tls(API.server, server_side=True)
    return await asyncio.gather(side(one, client), side(two, server))


def _world(near: socket.socket, far: socket.socket, sides: list[Side]) -> World:
    near.setblocking(False)
    far.setblocking(False)
    return World(near, far, sides)


WORLDS = pytest.mark.parametrize("made", [plain, through_tls, through_old_tls, through_tls_twice])


def run(made: Callable[[], Awaitable[World]], check: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = await made()
        try:
            async with asyncio.timeout(60):
                await check(world)
        finally:
            await world.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@WORLDS
def test_small_messages_go_there_and_back(made: Callable[[], Awaitable[World]]) -> None:
    async def check(world: World) -> None:
        for at in range(50):
            await world.loop.sock_sendall(world.near, b"question %d" % at)
            assert await world.read(world.far, len(b"question %d" % at)) == b"question %d" % at
            await world.loop.sock_sendall(world.far, b"answer %d" % at)
            assert await world.read(world.near, len(b"answer %d" % at)) == b"answer %d" % at
        assert world.sides[0].read_bytes == sum(len(b"question %d" % at) for at in range(50))

    run(made, check)


@WORLDS
@pytest.mark.parametrize("size", [BUFFER_BYTES - 1, BUFFER_BYTES, 3 * BUFFER_BYTES + 17, 3_000_000])
def test_many_bytes_arrive_in_order_both_ways_at_once(made: Callable[[], Awaitable[World]], size: int) -> None:
    data, back = random.Random(size).randbytes(size), random.Random(1).randbytes(size // 2)

    async def check(world: World) -> None:
        got = await asyncio.gather(
            world.loop.sock_sendall(world.near, data),
            world.loop.sock_sendall(world.far, back),
            world.read(world.far, size),
            world.read(world.near, size // 2),
        )
        assert got[2:] == [data, back]

    run(made, check)


@WORLDS
def test_an_end_that_comes_with_its_bytes_is_seen_and_the_other_way_goes_on(
    made: Callable[[], Awaitable[World]],
) -> None:
    async def check(world: World) -> None:
        world.near.send(b"last words")  # both before the loop looks
        world.near.shutdown(socket.SHUT_WR)
        assert await world.read(world.far) == b"last words"
        await world.loop.sock_sendall(world.far, b"heard")
        assert await world.read(world.near, 5) == b"heard"
        world.far.shutdown(socket.SHUT_WR)
        assert await world.read(world.near) == b""

    run(made, check)


@WORLDS
def test_who_does_not_read_stops_the_writer_and_loses_nothing(made: Callable[[], Awaitable[World]]) -> None:
    async def check(world: World) -> None:
        data = random.Random(7).randbytes(8_000_000)
        writer = asyncio.ensure_future(world.loop.sock_sendall(world.near, data))
        first = await world.read(world.far, 1)
        for _ in range(200):  # turns of the loop, in which all that is to be taken is taken
            await asyncio.sleep(0)
        assert not writer.done()
        waiting = sum(one.transport.get_write_buffer_size() for one in world.sides if one.transport is not None)
        assert waiting <= 4 * BUFFER_BYTES
        assert first + await world.read(world.far, len(data) - 1) == data
        await writer

    run(made, check)


def test_a_reset_closes_the_other_side() -> None:
    async def check(world: World) -> None:
        await world.loop.sock_sendall(world.near, b"question")
        await world.read(world.far, 4)
        await world.loop.sock_sendall(world.far, b"an answer nobody reads")
        await world.read(world.near, 1)
        world.near.close()  # with bytes unread: a reset
        try:
            assert await world.read(world.far) == b"tion"
        except ConnectionResetError:
            pass
        while not all(one.closed for one in world.sides):
            await asyncio.sleep(0)

    run(plain, check)


def test_bytes_that_are_no_tls_end_the_connection() -> None:
    async def check(world: World) -> None:
        wire = world.sides[1].transport
        assert wire is not None
        wire.write(b"\x17\x03\x03\x00\x20" + bytes(32))  # to the server side, past the TLS of the client
        assert await world.read(world.far) == b""
        while not all(one.closed for one in world.sides):
            await asyncio.sleep(0)

    run(through_tls, check)


def test_a_loop_has_one_relay() -> None:
    async def main() -> bool:
        return relay_of(asyncio.get_running_loop()) is relay_of(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main())
