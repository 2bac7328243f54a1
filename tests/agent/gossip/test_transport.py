"""Two and more machines on sockets of the loopback, with real time."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

import pytest
from meshtest.gossipgolden import Ring
from meshtest.gossipmachine import Recorder

from meshagent.agent.gossip import transport as edge
from meshagent.agent.gossip.node import Address, NodeState, parse_ip
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.seal import Seal
from meshagent.agent.gossip.settings import LOCAL
from meshagent.agent.gossip.signals import PacketRead
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.swim import Memberlist
from meshagent.agent.gossip.transport import GossipTransport
from meshagent.clock import SystemClock
from meshagent.errors import ConfigError, InternalError, Timeout
from meshagent.machine import Command, Event, SetTimer, TimerFired
from meshagent.metrics import Metrics

FAST = replace(LOCAL, probe_interval_s=0.1, probe_timeout_s=0.05, gossip_interval_s=0.02, push_pull_interval_s=0.5)


class Here:
    """One node of the loopback."""

    def __init__(self, name: str, host: str, key: bytes | None, **options: object) -> None:
        packets = PacketCodec(Seal(Ring(*([key] if key else [])), lambda: os.urandom(12)))
        streams = StreamCodec(packets)
        self.delegate = Recorder()
        self.delegate.state = b"state of " + name.encode()
        self.commands: list[Command] = []
        self.metrics = Metrics()
        self.machine: Memberlist = None  # type: ignore[assignment]
        self.transport = GossipTransport(
            self.machine,
            streams,
            SystemClock(),
            on_command=self.commands.append,
            **options,  # type: ignore[arg-type]
        )
        self.address: Address = self.transport.listen(host, 0)
        self.machine = self.transport.machine = Memberlist(
            name,
            parse_ip(host),
            self.address[1],
            settings=FAST,
            delegate=self.delegate,
            rng=Random(name),
            packets=packets,
            streams=streams,
            metrics=self.metrics,
        )
        self.transport.start()

    def names(self) -> set[str]:
        return {node.name for node in self.machine.up_nodes()}

    def counted(self, text: str) -> bool:
        return text in self.metrics.prometheus().decode()


Make = Callable[..., Here]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def one(name: str, *, host: str = "127.0.0.1", key: bytes | None = None, **options: object) -> Here:
            here = Here(name, host, key, **options)
            stack.push_async_callback(here.transport.close)
            return here

        yield one


async def wait(what: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("key", [None, b"k" * 32])
async def test_nodes_join_and_know_each_other(make: Make, host: str, key: bytes | None) -> None:
    a, b, c = (make(name, host=host, key=key) for name in "abc")
    await b.transport.join(a.address)
    await c.transport.join(b.address)
    await wait(lambda: all(node.names() == {"a", "b", "c"} for node in (a, b, c)))
    assert ("state", b"state of a") in b.delegate.heard
    assert ("state", b"state of b") in a.delegate.heard
    await wait(lambda: any(kind == "rtt" for kind, _ in a.delegate.heard))


async def test_a_dead_one_is_found_and_one_that_leaves_is_told(make: Make) -> None:
    a, b, c = (make(name) for name in "abc")
    await b.transport.join(a.address)
    await c.transport.join(a.address)
    await wait(lambda: all(node.names() == {"a", "b", "c"} for node in (a, b, c)))
    await b.transport.close()
    await wait(lambda: ("dead", "b") in a.delegate.heard)
    await c.transport.leave(10)
    await wait(lambda: ("left", "c") in a.delegate.heard)
    assert c.machine.local.state is NodeState.LEFT


async def test_udp_alone_does_not_decide(make: Make) -> None:
    """Without UDP a node is still probed over TCP, and so stays alive."""
    a, b = make("a"), make("b")
    await b.transport.join(a.address)
    await wait(lambda: a.names() == b.names() == {"a", "b"})
    asyncio.get_running_loop().remove_reader(b.transport._udp.fileno())  # type: ignore[union-attr]
    await wait(lambda: a.counted("memberlist_probeNode_count 12"))
    assert a.names() == {"a", "b"}


async def test_why_a_join_failed_is_told(make: Make) -> None:
    a, sealed = make("a"), make("b", key=b"k" * 16)
    with pytest.raises(InternalError, match="encryption is configured but remote state is not encrypted"):
        await sealed.transport.join(a.address)
    with pytest.raises(InternalError, match="remote state is encrypted and encryption is not configured"):
        await a.transport.join(sealed.address)
    other = make("c", key=b"o" * 16)
    with pytest.raises(InternalError, match="no installed key could decrypt"):
        await other.transport.join(sealed.address)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InternalError, match=r"refused|Connect call failed"):
            await a.transport.join(free.getsockname())
    assert a.names() == {"a"}


async def test_a_leave_that_nobody_takes_ends_in_time(make: Make) -> None:
    a, b = make("a"), make("b")
    await b.transport.join(a.address)
    b.machine._core.broadcasts.mult = 10_000
    with pytest.raises(Timeout):
        await b.transport.leave(0.05)


async def test_a_reliable_message_arrives(make: Make) -> None:
    a, b = make("a"), make("b")
    b.machine.send_user_reliable(a.address, b"x" * 100_000, asyncio.get_running_loop().time())
    b.transport.flush()
    await wait(lambda: ("user", b"x" * 100_000) in a.delegate.heard)


async def said(address: Address, data: bytes, *, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    if end:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def test_bad_streams_are_closed_and_counted(make: Make) -> None:
    a = make("a")
    assert await said(a.address, b"\x63") == b""
    assert await said(a.address, b"\x06\x83", end=True) == b""
    assert await said(a.address, b"", end=True) == b""
    assert a.counted('memberlist_dropped{reason="unknown_type"} 1')
    assert a.counted('memberlist_dropped{reason="malformed"} 2')


async def test_who_says_nothing_is_closed(make: Make) -> None:
    a = make("a", read_timeout_s=0.1)
    assert await said(a.address, b"") == b""


async def test_only_so_many_streams_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "MAX_STREAMS", 3)
    a = make("a")
    writers = [(await asyncio.open_connection(*a.address))[1] for _ in range(3)]
    await wait(lambda: len(a.transport._writers) == 3)
    reader, writer = await asyncio.open_connection(*a.address)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()
    await wait(lambda: a.counted('memberlist_dropped{reason="busy"} 1'))
    for each in writers:
        each.close()
    await wait(lambda: not a.transport._writers)
    await make("b").transport.join(a.address)


async def test_only_so_much_of_unfinished_streams(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "MAX_HELD_BYTES", 10_000)
    a = make("a")
    writers = []
    for _ in range(2):
        _, writer = await asyncio.open_connection(*a.address)
        writer.write(b"\x08\x81\xaaUserMsgLen\xcd\xff\xff" + b"x" * 6000)
        writers.append(writer)
    await wait(lambda: a.counted('memberlist_dropped{reason="busy"} 1'))
    for writer in writers:
        writer.close()
    await wait(lambda: not a.transport._writers)
    assert a.transport._held_bytes == 0
    await make("b").transport.join(a.address)


async def test_large_streams_are_taken_apart_beside_the_loop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "_HEAVY_BYTES", 1)
    a, b = make("a"), make("b", key=None)
    await b.transport.join(a.address)
    b.machine.send_user_reliable(a.address, b"x" * 300_000, asyncio.get_running_loop().time())
    b.transport.flush()
    await wait(lambda: ("user", b"x" * 300_000) in a.delegate.heard)


async def test_any_bytes_leave_it_alive(make: Make) -> None:
    a, b = make("a", key=b"k" * 16), make("b", key=b"k" * 16)
    random = Random(5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in range(300):
            udp.sendto(random.randbytes(random.randrange(100)), a.address)
    for _ in range(20):
        await said(a.address, random.randbytes(random.randrange(1, 100)), end=True)
    await b.transport.join(a.address)
    await wait(lambda: a.names() == {"a", "b"})


async def test_a_port_in_use_is_explained(make: Make) -> None:
    a = make("a")
    other = GossipTransport(a.machine, StreamCodec(PacketCodec()), SystemClock(), option="serf_lan")
    with pytest.raises(ConfigError, match=r"serf_lan: cannot listen on 127\.0\.0\.1"):
        other.listen(*a.address)


async def test_what_it_does_not_know_is_handed_on_and_closing_twice_is_fine(make: Make) -> None:
    a = make("a")
    a.transport._do([Command()])
    assert a.commands == [Command()]
    await a.transport.close()
    await a.transport.close()


async def test_a_join_that_is_under_way_ends_with_it(make: Make) -> None:
    a = make("a")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        joining: Awaitable[None] = asyncio.ensure_future(a.transport.join(silent.getsockname()))
        await asyncio.sleep(0)
        await a.transport.close()
        with pytest.raises(InternalError, match="stopping"):
            await joining


class Script:
    """A machine that notes what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event, now: float) -> list[Command]:
        self.events.append(event)
        return []

    def take_commands(self) -> list[Command]:
        return []

    def start(self, now: float) -> None:
        return

    def join(self, address: Address, now: float) -> int:
        return 1

    def leave(self, now: float) -> None:
        return


@pytest.mark.parametrize(("late_s", "first"), [(1.0, PacketRead), (0.0, TimerFired)])
async def test_after_standing_still_packets_go_before_timers(late_s: float, first: type[Event]) -> None:
    """A process that was stopped finds the acks of its probes in the socket, and the probes' timers due."""
    script = Script()
    one = GossipTransport(script, StreamCodec(PacketCodec()), SystemClock())
    address = one.listen("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    one._timers["probe"] = (loop.call_later(0, lambda: None), loop.time() - late_s)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"ack", address)
        one._fire("probe")
    await one.close()
    assert type(script.events[0]) is first
    assert TimerFired("probe") in script.events


async def test_timers_that_are_due_at_once_fire() -> None:
    """On uvloop such a timer's handle has no `when`."""
    script = Script()
    one = GossipTransport(script, StreamCodec(PacketCodec()), SystemClock())
    one._do([SetTimer("now", 0.0)])
    await wait(lambda: script.events)
    await one.close()
    assert script.events == [TimerFired("now")]
