from __future__ import annotations

import pytest
from meshtest.peer_clusters import joined

from meshagent.agent.peering import channel as channels
from meshagent.agent.peering.channel import Channel
from meshagent.agent.peering.grpc import Called, Closed, Received


def pair() -> tuple[Channel, Channel]:
    return Channel(dials=True, max_message=1 << 24), Channel(dials=False, max_message=1 << 24)


async def test_what_is_said_arrives_and_both_learn_of_the_end() -> None:
    one, other = pair()
    joined(one, other)
    call = one.grpc.call("/a.B/C", "server")
    one.grpc.send(call, b"hello")
    one.flush()
    assert [await other.next(), await other.next()] == [Called(call, "/a.B/C"), Received(call, b"hello")]
    assert other.remote == "dialer:1"
    one.close()
    assert isinstance(await other.next(), Closed)
    assert isinstance(await one.next(), Closed)


async def test_reading_stops_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_QUEUED", 4)
    one, other = pair()
    _, wire = joined(one, other)
    call = one.grpc.call("/a.B/C", "server")
    for at in range(20):
        one.grpc.send(call, bytes([at]))
        one.flush()
    events = [await other.next()]
    assert not wire.reading
    assert other.events.qsize() < 20
    events += [await other.next() for _ in range(20)]
    assert wire.reading
    assert [event.message[0] for event in events if isinstance(event, Received)] == list(range(20))


async def test_a_side_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_BUFFERED", 1000)
    one, other = pair()
    here, there = joined(one, other)
    there.reading = False
    call = one.grpc.call("/a.B/C", "server")
    one.grpc.send(call, bytes(2000))
    one.flush()
    assert here.closed
