"""What strangers get at the ports for gRPC from the service for peers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.peer_clusters import PeerCluster, joined

from meshagent.agent.grpc import connection as grpc
from meshagent.agent.grpc.channel import Channel, Heard
from meshagent.agent.grpc.connection import Closed, Finished, Received
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
from meshagent.agent.peering.serving import SMALL
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


async def called(cluster: PeerCluster, method: str, message: bytes | None) -> list[Heard]:
    """All that comes of one call."""
    channel = Channel(dials=True, max_message=1 << 20)
    joined(channel, cluster.server.accept())
    call = channel.call(method, "server")
    if message is not None:
        call.send(message)
    call.end()
    events: list[Heard] = []
    while not any(isinstance(event, (Finished, Closed)) for event in events):
        await cluster.inside.settle()
        events.append(await call.next())
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
        ("/a.B/C", b"", 12, "unknown service a.B"),
        (
            EXCHANGE_METHOD,
            bytes(SMALL + 1),
            8,
            "a message of 16385 bytes; at most 16384 are taken",
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
