"""Requests and streams over a real connection: results, errors, cancelling, and a half-open peer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from meshagent.catalog.rpc import frames
from meshagent.catalog.rpc.frames import FrameReader, encode
from meshagent.catalog.rpc.hello import Identity, Peer
from meshagent.catalog.rpc.link import Link
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import load_security
from meshagent.errors import Conflict, InternalError, NotFound, Timeout, Unavailable

from .conftest import Pki, Scenario, World, until

Play = Callable[[Scenario], None]


class Service:
    """Methods of a server, and what became of them."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.sent = 0
        self.methods: dict[str, Any] = {
            "echo": self.echo,
            "refuse": self.refuse,
            "break": self.break_,
            "hang": self.hang,
            "count": self.count,
            "now": self.now,
        }

    async def echo(self, _: Peer, payload: bytes) -> bytes:
        return payload

    def refuse(self, _: Peer, payload: bytes) -> Any:
        raise Conflict("it moved on")

    async def break_(self, _: Peer, payload: bytes) -> bytes:
        raise KeyError("secret")

    def now(self, peer: Peer, payload: bytes) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        future.set_result(peer.node_name.encode())
        return future

    async def hang(self, _: Peer, payload: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return b""

    async def count(self, _: Peer, payload: bytes) -> AsyncIterator[bytes]:
        try:
            for number in range(int(payload)):
                self.sent += 1
                yield number.to_bytes(4, "big") * 1000
            if int(payload) == 7:
                raise Conflict("seven")
        finally:
            self.cancelled += 1


async def connect(world: World, service: Service, **options: Any) -> Link:
    alice, bob = world.spawn("alice", **options), world.spawn("bob", methods=service.methods, **options)
    alice.peers.set_servers({"id-bob": bob.address})
    await alice.connected(bob)
    link = alice.peers.link("id-bob")
    assert link is not None
    return link


@pytest.mark.parametrize("secure", [False, True])
def test_requests(play: Play, pki: Pki, secure: bool) -> None:
    async def scenario(world: World) -> None:
        service = Service()
        options = {"security": load_security(pki.leaf("server.dc1.consul"))} if secure else {}
        link = await connect(world, service, **options)
        answers = await asyncio.gather(*(link.call("echo", bytes([n]) * n * 1000, 5) for n in range(200)))
        assert answers == [bytes([n]) * n * 1000 for n in range(200)]
        assert await link.call("now", b"", 5) == b"alice"
        with pytest.raises(Conflict, match="it moved on"):
            await link.call("refuse", b"", 5)
        with pytest.raises(InternalError, match="see the log of the server"):
            await link.call("break", b"", 5)
        with pytest.raises(NotFound, match="no method 'nothing'"):
            await link.call("nothing", b"", 5)
        assert await link.call("echo", bytes(8 << 20), 10) == bytes(8 << 20)

    play(scenario)


def test_who_stops_waiting_tells_the_server(play: Play) -> None:
    async def scenario(world: World) -> None:
        service = Service()
        link = await connect(world, service)
        with pytest.raises(Timeout):
            await link.call("hang", b"", 0.02)
        await until(lambda: service.cancelled == 1)
        task = asyncio.ensure_future(link.call("hang", b"", 60))
        await asyncio.sleep(0.01)
        task.cancel()
        await until(lambda: service.cancelled == 2)
        assert await link.call("echo", b"x", 5) == b"x"

    play(scenario)


def test_streams(play: Play) -> None:
    async def scenario(world: World) -> None:
        service = Service()
        link = await connect(world, service)
        pieces = [piece async for piece in link.stream("count", b"500", 5)]
        assert [int.from_bytes(piece[:4], "big") for piece in pieces] == list(range(500))
        with pytest.raises(Conflict, match="seven"):
            async for _ in link.stream("count", b"7", 5):
                pass
        assert await link.call("echo", b"x", 5) == b"x"

    play(scenario)


def test_a_reader_that_leaves_or_sleeps_ends_its_own_stream(play: Play) -> None:
    async def scenario(world: World) -> None:
        service = Service()
        link = await connect(world, service)
        stream = link.stream("count", b"1000000", 5)
        await anext(stream)
        await stream.aclose()
        await until(lambda: service.cancelled == 1)
        slow = link.stream("count", b"1000000", 5)
        await anext(slow)
        await until(lambda: service.cancelled == 2)  # 16 MiB wait here: given up
        with pytest.raises(Unavailable, match="not read"):
            async for _ in slow:
                pass
        assert await link.call("echo", b"x", 5) == b"x"

    play(scenario)


def test_a_stream_with_a_window_waits_for_its_reader_and_comes_whole(play: Play) -> None:
    """Mutation: the sender does not look at the window: a reader 16 MiB behind is cut."""

    async def scenario(world: World) -> None:
        service = Service()
        link = await connect(world, service)
        slow = link.stream("count", b"10000", 5, window=100_000)  # 40 MB in all
        numbers = [int.from_bytes((await anext(slow))[:4], "big")]
        before = -1
        while before != service.sent:  # until it stands still
            before = service.sent
            assert await link.call("echo", b"x", 5) == b"x", "others on the connection go on"
            await asyncio.sleep(0.02)
        assert service.sent <= 27, "100,000 bytes, and the piece that waits"
        numbers += [int.from_bytes(piece[:4], "big") async for piece in slow]
        assert numbers == list(range(10_000))
        left = link.stream("count", b"10000", 5, window=100_000)
        await anext(left)
        await left.aclose()
        await until(lambda: service.cancelled == 2)  # the one that waits ends too

    play(scenario)


def test_a_stream_waits_for_a_connection_that_is_full(play: Play) -> None:
    async def scenario(world: World) -> None:
        service = Service()
        bob = world.spawn("bob", methods=service.methods, settings=RpcSettings(ping_after_s=60))
        host, port = bob.address.split(":")
        deaf = socket.create_connection((host, int(port)))
        hello = Identity("id-x", "x", "dc1", "c1").hello(1)
        deaf.sendall(frames.PREFACE + encode(hello) + encode(frames.Request(1, "count", 1000, b"1000000")))
        await until(lambda: service.sent > 100)
        before = -1
        while before != service.sent:  # until it stands still
            before = service.sent
            await asyncio.sleep(0.05)
        assert service.sent * 4000 < 16 << 20
        (link,) = bob.server.links
        assert link.ready
        reader, got = FrameReader(), 0
        deaf.settimeout(5)
        while got < before + 100:
            got += len(list(reader.feed(await asyncio.to_thread(deaf.recv, 1 << 20))))
        deaf.close()
        await until(lambda: service.cancelled == 1)

    play(scenario)


def test_a_half_open_connection_is_noticed_by_ping(play: Play) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Says hello, then nothing more, like a host that lost its power."""
        await reader.readexactly(8)
        writer.write(frames.PREFACE + encode(Identity("id-bob", "bob", "dc1", "c1").hello()))
        await reader.read()

    async def scenario(world: World) -> None:
        bob = await asyncio.start_server(mute, "127.0.0.1", 0)
        alice = world.spawn("alice", settings=RpcSettings(ping_after_s=0.02, ping_timeout_s=0.02))
        alice.peers.set_servers({"id-bob": f"127.0.0.1:{bob.sockets[0].getsockname()[1]}"})
        await until(lambda: alice.counts["rpc.closed", Reason.SILENT] >= 1)
        await until(lambda: alice.peers.epoch("id-bob") >= 2)  # and dialled again
        await world.stop(alice)
        bob.close()

    play(scenario)


def test_one_that_is_not_connected_refuses() -> None:
    async def scenario() -> None:
        link = Link(
            lambda names: None,  # type: ignore[arg-type, return-value]
            clock=None,  # type: ignore[arg-type]
            metrics=_Nothing(),
            methods={},
            on_accepted=lambda link, peer: None,
            on_closed=lambda link: None,
        )
        assert not link.ready
        assert not link.send_raft(b"x")
        with pytest.raises(Unavailable):
            await link.call("m", b"", 1)
        with pytest.raises(Unavailable):
            await anext(link.stream("m", b"", 1))

    asyncio.run(scenario())


class _Nothing:
    def incr(self, name: str, value: float = 1.0, labels: tuple[tuple[str, str], ...] = ()) -> None:
        return

    def sample(self, name: str, value_ms: float) -> None:
        return
