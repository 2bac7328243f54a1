from __future__ import annotations

import asyncio

import pytest
from meshtest.peer_clusters import joined

from meshagent.agent.grpc import channel as channels
from meshagent.agent.grpc.channel import Call, Channel, Keepalive
from meshagent.agent.grpc.connection import Closed, Finished, Received
from meshagent.clock import VirtualClock


class Pair:
    """A dialing and an accepting end, and the calls that arrive there."""

    def __init__(self, keepalive: Keepalive | None = None) -> None:
        self.one = Channel(dials=True, max_message=1 << 24)
        self.other = Channel(dials=False, max_message=1 << 24, keepalive=keepalive)
        self.calls: list[Call] = []
        self.other.on_call = self.calls.append
        self.here, self.there = joined(self.one, self.other)

    async def call(self, *metadata: tuple[str, str]) -> tuple[Call, Call]:
        """A call from both ends."""
        call = self.one.call("/a.B/C", "server", metadata)
        while not self.calls:
            await asyncio.sleep(0)
        return call, self.calls.pop()


async def test_what_is_said_arrives_and_both_learn_of_the_end() -> None:
    pair = Pair()
    call, taken = await pair.call()
    call.send(b"hello")
    assert await taken.next() == Received(call.number, b"hello")
    assert (taken.method, taken.remote) == ("/a.B/C", "dialer:1")
    pair.one.close()
    assert isinstance(await taken.next(), Closed)
    assert isinstance(await call.next(), Closed)
    assert taken.over
    assert call.over


async def test_calls_on_one_connection_do_not_mix() -> None:
    pair = Pair()
    pairs = [await pair.call() for _ in range(3)]
    for at, (call, _) in enumerate(pairs):
        call.send(bytes([at]))
        call.end()
    for at, (call, taken) in reversed(list(enumerate(pairs))):
        assert await taken.message() == bytes([at])
        assert await taken.message() is None
        taken.send(bytes([at, at]))
        taken.finish(5, "gone")
        assert await call.next() == Received(call.number, bytes([at, at]))
        assert await call.next() == Finished(call.number, 5, "gone")
    assert not pair.one.calls
    assert not pair.other.calls


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        ((), ""),
        ((("x-consul-token", "t"),), "t"),
        ((("authorization", "Bearer b"),), "b"),
        ((("authorization", "Basic b"),), ""),
        ((("authorization", "bearer b"), ("x-consul-token", "t")), "t"),
    ],
)
async def test_the_token_of_a_call(metadata: tuple[tuple[str, str], ...], token: str) -> None:
    _, taken = await Pair().call(*metadata)
    assert taken.token == token


async def test_who_leaves_ends_what_was_done_for_him() -> None:
    pair = Pair()
    call, taken = await pair.call()
    gone: list[str] = []
    taken.on_gone = lambda: gone.append("gone")
    call.send(b"unread")
    call.cancel()
    while not gone:
        await asyncio.sleep(0)
    assert taken.over
    taken.send(b"to nobody")
    taken.finish()


async def test_an_end_of_ones_own_is_not_a_loss() -> None:
    pair = Pair()
    _, taken = await pair.call()
    taken.on_gone = lambda: pytest.fail("nobody has left")
    taken.finish()


async def test_reading_stops_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_QUEUED", 4)
    pair = Pair()
    call, taken = await pair.call()
    for at in range(20):
        call.send(bytes([at]))
    events = [await taken.next()]
    assert not pair.there.reading
    assert taken.events.qsize() < 20
    events += [await taken.next() for _ in range(19)]
    assert pair.there.reading
    assert [event.message[0] for event in events if isinstance(event, Received)] == list(range(20))


async def test_what_an_ended_call_left_does_not_stop_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_QUEUED", 4)
    pair = Pair()
    call, taken = await pair.call()
    for at in range(10):
        call.send(bytes([at]))
    while pair.there.reading:
        await asyncio.sleep(0)
    taken.finish()
    assert pair.there.reading


async def test_a_side_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_BUFFERED", 1000)
    pair = Pair()
    call, _ = await pair.call()
    pair.there.reading = False
    call.send(bytes(2000))
    assert pair.here.closed


async def test_a_sender_waits_until_little_waits_to_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_UNSENT", 100)
    pair = Pair()
    call, taken = await pair.call()
    await call.drained()
    pair.there.reading = False
    call.send(bytes(3 * 1024 * 1024))
    waiting = asyncio.ensure_future(call.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    pair.there.resume_reading()
    assert await taken.message() == bytes(3 * 1024 * 1024)
    await waiting


async def test_who_waits_to_send_to_somebody_who_is_gone_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_UNSENT", 100)
    pair = Pair()
    call, _ = await pair.call()
    pair.there.reading = False
    call.send(bytes(3 * 1024 * 1024))
    waiting = asyncio.ensure_future(call.drained())
    await asyncio.sleep(0)
    pair.here.abort()
    await waiting


async def test_a_message_may_be_put_back() -> None:
    pair = Pair()
    call, taken = await pair.call()
    call.send(b"1")
    call.send(b"2")
    first = await taken.next()
    taken.back(first)
    assert [await taken.message(), await taken.message()] == [b"1", b"2"]


async def test_a_shut_connection_sends_callers_elsewhere() -> None:
    pair = Pair()
    call, taken = await pair.call()
    pair.other.shut("the agent is shutting down")
    assert await call.next() == Finished(call.number, 14, "the agent is shutting down")
    assert isinstance(await taken.next(), Closed)


async def test_a_silent_side_is_pinged_and_then_left() -> None:
    clock = VirtualClock()
    pair = Pair(Keepalive(clock, interval_s=30.0, timeout_s=20.0))
    await pair.call()
    await clock.advance(31)
    heard = pair.other._heard_at
    pair.other._look()
    while pair.other._heard_at == heard:
        await asyncio.sleep(0)
    assert not pair.there.closed, "the library on the other side answers a ping"
    pair.here.reading = False
    await clock.advance(31)
    pair.other._look()
    await asyncio.sleep(0)
    assert not pair.there.closed
    await clock.advance(20)
    pair.other._look()
    assert pair.there.closed


async def test_a_connection_that_says_nothing_makes_no_machine() -> None:
    pair = Pair()
    assert pair.other._grpc is None
    pair.other.shut("end")
    assert pair.other._grpc is None
