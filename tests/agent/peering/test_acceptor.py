"""What strangers get at the port for peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from meshtest.peer_clusters import MemoryTransport, PeerCluster, joined

from meshagent.agent.peering import acceptor as accepting
from meshagent.agent.peering import grpc
from meshagent.agent.peering.channel import Channel
from meshagent.agent.peering.grpc import Closed, Event, Finished, Received
from meshagent.agent.peering.messages import (
    EXCHANGE,
    EXCHANGE_METHOD,
    GIVEN,
    STREAM_METHOD,
    Exchange,
    Heartbeat,
    Open,
    encode_message,
)
from meshagent.catalog.peering.commands import PeeringSet
from meshagent.catalog.peering.model import Peering, secret_digest


@pytest.fixture
async def cluster() -> AsyncIterator[PeerCluster]:
    made = PeerCluster()
    await made.start()
    await made.agent.write(PeeringSet(Peering(id="p-1", name="beta"), establishment=secret_digest("once")))
    await made.inside.settle()
    yield made
    await made.stop()


def stranger(cluster: PeerCluster) -> tuple[Channel, MemoryTransport]:
    channel = Channel(dials=True, max_message=1 << 20)
    there = Channel(dials=False, max_message=accepting.SMALL, on_open=cluster.acceptor._opened)
    return channel, joined(channel, there)[1]


async def called(cluster: PeerCluster, method: str, message: bytes | None) -> list[Event]:
    """All that comes of one call."""
    channel, _ = stranger(cluster)
    call = channel.grpc.call(method, "server")
    if message is not None:
        channel.grpc.send(call, message)
    channel.grpc.end(call)
    channel.flush()
    events: list[Event] = []
    while not any(isinstance(event, (Finished, Closed)) for event in events):
        await cluster.inside.settle()
        events.append(await channel.next())
    channel.close()
    return events


async def test_a_secret_is_exchanged_once(cluster: PeerCluster) -> None:
    given, finished = await called(cluster, EXCHANGE_METHOD, EXCHANGE.encode(Exchange("p-1", "once")))
    assert isinstance(given, Received)
    secret = GIVEN.decode(given.message).secret
    assert isinstance(finished, Finished)
    assert finished.code == grpc.OK
    assert cluster.store.peerings.may_open("p-1", secret_digest(secret))
    (again,) = await called(cluster, EXCHANGE_METHOD, EXCHANGE.encode(Exchange("p-1", "once")))
    assert (again.code, again.text) == (7, "invalid peering establishment secret")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "message", "code", "text"),
    [
        (EXCHANGE_METHOD, EXCHANGE.encode(Exchange("p-1", "guess")), 7, "invalid peering establishment secret"),
        (EXCHANGE_METHOD, EXCHANGE.encode(Exchange("p-9", "once")), 7, "invalid peering establishment secret"),
        (EXCHANGE_METHOD, b"", 7, "invalid peering establishment secret"),
        (EXCHANGE_METHOD, b"\x0a\x7f", 3, "protobuf: a field is longer than its message"),
        (EXCHANGE_METHOD, None, 3, "a call without a message"),
        (STREAM_METHOD, encode_message(Open("p-1", "guess")), 7, "invalid peering stream secret"),
        (STREAM_METHOD, encode_message(Open("p-9", "once")), 7, "invalid peering stream secret"),
        (STREAM_METHOD, encode_message(Open("p-1", "once")), 7, "invalid peering stream secret"),
        (STREAM_METHOD, encode_message(Open("", "")), 3, "a stream begins with who opens it"),
        (STREAM_METHOD, encode_message(Heartbeat()), 3, "a stream begins with who opens it"),
        (STREAM_METHOD, b"\xff", 3, "protobuf: a number is cut off or too long"),
        ("/a.B/C", b"", 12, "unknown method /a.B/C"),
        (
            EXCHANGE_METHOD,
            bytes(accepting.SMALL + 1),
            8,
            "a message of 16385 bytes; at most 16384 are taken, uncompressed",
        ),
    ],
)
async def test_a_stranger_gets_an_error(
    cluster: PeerCluster, method: str, message: bytes | None, code: int, text: str
) -> None:
    before = cluster.store.peerings.secrets_of("p-1")
    (ended,) = await called(cluster, method, message)
    assert isinstance(ended, Finished)
    assert (ended.code, ended.text) == (code, text)
    assert cluster.store.peerings.secrets_of("p-1") == before


async def test_only_the_leader_serves_streams(cluster: PeerCluster) -> None:
    await cluster.depose()
    (ended,) = await called(cluster, STREAM_METHOD, encode_message(Open("p-1", "once")))
    assert isinstance(ended, Finished)
    assert (ended.code, ended.text) == (9, "this server is not the leader of its cluster: try another one")


async def test_who_says_nothing_is_left(cluster: PeerCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "STRANGER_S", 0)
    channel, _ = stranger(cluster)
    assert isinstance(await channel.next(), Closed)
    await asyncio.sleep(0)
    assert not cluster.acceptor._strangers
    assert not cluster.acceptor._channels


async def test_strangers_are_bounded(cluster: PeerCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "MAX_STRANGERS", 2)
    channels = [stranger(cluster)[0] for _ in range(3)]
    assert isinstance(await channels[2].next(), Closed)
    assert len(cluster.acceptor._strangers) == 2
    channels[0].close()
    await cluster.inside.settle()
    assert len(cluster.acceptor._strangers) == 1


async def test_a_broken_connection_ends_without_a_trace(cluster: PeerCluster, caplog: pytest.LogCaptureFixture) -> None:
    _, wire = stranger(cluster)
    assert wire.own is not None
    wire.own.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await cluster.inside.settle()
    assert not cluster.acceptor._channels
    assert "Traceback" not in caplog.text
