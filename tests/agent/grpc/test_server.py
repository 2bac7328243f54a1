"""What a handler of each kind gets and what its caller hears; who may connect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshtest.inprocess import InProcess
from meshtest.peer_clusters import MemoryTransport, joined

from meshagent.agent.grpc import server as serving
from meshagent.agent.grpc.channel import Call, Channel, Heard
from meshagent.agent.grpc.connection import Closed, Finished, Received
from meshagent.agent.grpc.methods import DIALOGUE, STREAM, UNARY, Method, Refused, Service
from meshagent.agent.grpc.server import GrpcServer
from meshagent.errors import Denied, NotFound


async def echo(agent: Any, call: Call, message: bytes) -> bytes:
    if message == b"denied":
        raise Denied("Permission denied")
    if message == b"lost":
        raise NotFound("no such thing")
    if message == b"refused":
        raise Refused(16, "who are you?")
    if message == b"bug":
        raise ZeroDivisionError("secret of the inside")
    return b"echo " + message + call.token.encode()


async def count(agent: Any, call: Call, message: bytes) -> AsyncIterator[bytes]:
    try:
        for at in range(int(message)):
            yield str(at).encode()
        agent.extras["waits"] = True
        await asyncio.Event().wait()
    finally:
        agent.extras["left"] = True


async def talk(agent: Any, call: Call) -> None:
    while isinstance(event := await call.next(), Received):
        if event.message == b"known":
            call.known()
        call.send(event.message.upper())
    agent.extras["ended"] = event


SERVICE = Service(
    "a.B",
    (Method("Echo", UNARY, echo, max_message=10), Method("Count", STREAM, count), Method("Talk", DIALOGUE, talk)),
)
HIDDEN = Service("a.Hidden", (Method("Echo", UNARY, echo),), present=lambda agent: False)


class World:
    def __init__(self) -> None:
        self.inside = InProcess()
        self.agent = self.inside.agent
        self.server = GrpcServer(self.agent, [SERVICE, HIDDEN])

    def connect(self) -> tuple[Channel, MemoryTransport]:
        channel = Channel(dials=True, max_message=1 << 20)
        return channel, joined(channel, self.server.accept())[1]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def gauge(self, name: str) -> float:
        rows = self.agent.metrics.display(self.inside.clock.now())["Gauges"]
        return next((row["Value"] for row in rows if row["Name"].endswith(name)), 0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.server.stop()
    await made.agent.tasks.cancel()


async def asked(world: World, method: str, message: bytes | None, token: str = "") -> list[Heard]:
    channel, _ = world.connect()
    call = channel.call(method, "server", [("x-consul-token", token)] if token else [])
    if message is not None:
        call.send(message)
    call.end()
    heard: list[Heard] = []
    while not any(isinstance(event, (Finished, Closed)) for event in heard):
        heard.append(await call.next())
    channel.close()
    return heard


async def test_one_question_one_answer(world: World) -> None:
    answer, ended = await asked(world, "/a.B/Echo", b"hi", token="t")
    assert isinstance(answer, Received)
    assert answer.message == b"echo hit"
    assert isinstance(ended, Finished)
    assert ended.code == 0


@pytest.mark.parametrize(
    ("method", "message", "code", "text"),
    [
        ("/a.B/Echo", b"denied", 7, "Permission denied"),
        ("/a.B/Echo", b"lost", 5, "no such thing"),
        ("/a.B/Echo", b"refused", 16, "who are you?"),
        ("/a.B/Echo", b"bug", 13, "internal error: see the log of the agent"),
        ("/a.B/Echo", None, 3, "a call without a message"),
        ("/a.B/Echo", bytes(11), 8, "a message of 11 bytes; at most 10 are taken"),
        ("/a.B/Nothing", b"", 12, "unknown method Nothing for service a.B"),
        ("/a.Hidden/Echo", b"", 12, "unknown service a.Hidden"),
        ("/c.D/Echo", b"", 12, "unknown service c.D"),
        ("/", b"", 12, "unknown service"),
    ],
)
async def test_what_cannot_be_answered(world: World, method: str, message: bytes, code: int, text: str) -> None:
    (ended,) = await asked(world, method, message)
    assert isinstance(ended, Finished)
    assert (ended.code, ended.text) == (code, text)


async def test_a_stream_of_answers_ends_with_its_caller(world: World) -> None:
    channel, _ = world.connect()
    call = channel.call("/a.B/Count", "server")
    call.send(b"3")
    call.end()
    assert [await call.message() for _ in range(3)] == [b"0", b"1", b"2"]
    while "waits" not in world.agent.extras:
        await asyncio.sleep(0)
    assert world.gauge("grpc.server.streams") == 1
    call.cancel()
    while "left" not in world.agent.extras:
        await asyncio.sleep(0)
    await world.settle()
    assert world.gauge("grpc.server.streams") == 0


async def test_a_dialogue_hears_of_the_end(world: World) -> None:
    channel, _ = world.connect()
    call = channel.call("/a.B/Talk", "server")
    call.send(b"a")
    call.send(b"b")
    assert [await call.message(), await call.message()] == [b"A", b"B"]
    call.end()
    assert await call.next() == Finished(call.number, 0, "")
    assert world.agent.extras["ended"] == Finished(call.number, 0, "")


async def test_an_agent_that_stops_sends_callers_elsewhere(world: World) -> None:
    channel, wire = world.connect()
    call = channel.call("/a.B/Count", "server")
    call.send(b"0")
    other = channel.call("/a.B/Talk", "server")
    while "waits" not in world.agent.extras:
        await asyncio.sleep(0)
    await world.server.stop()
    assert await call.next() == Finished(call.number, 14, "the agent is shutting down")
    assert await other.next() == Finished(other.number, 14, "the agent is shutting down")
    await world.settle()
    assert wire.closed
    assert world.gauge("grpc.server.connections") == 0
    assert isinstance(world.agent.extras["ended"], Closed)
    assert "left" in world.agent.extras
    _, wire = world.connect()
    await world.settle()
    assert wire.closed


async def test_the_stranger_that_came_first_makes_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_STRANGERS", 2)
    known, kept = world.connect()
    call = known.call("/a.B/Talk", "server")
    call.send(b"known")
    assert await call.message() == b"KNOWN"
    wires = [world.connect()[1] for _ in range(3)]
    await world.settle()
    assert [wire.closed for wire in wires] == [True, False, False]
    assert not kept.closed


async def test_who_was_answered_is_no_stranger(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_STRANGERS", 1)
    channel, wire = world.connect()
    call = channel.call("/a.B/Echo", "server")
    call.send(b"denied")
    assert isinstance(await call.next(), Finished)
    assert world.server._strangers
    call = channel.call("/a.B/Echo", "server")
    call.send(b"hi")
    assert await call.message() == b"echo hi"
    await world.settle()
    assert not world.server._strangers
    world.connect()
    assert not wire.closed


async def test_who_calls_nothing_is_left(world: World) -> None:
    _, wire = world.connect()
    (accepted,) = world.server._strangers
    world.server._idle(accepted)
    await world.settle()
    assert wire.closed
    silent, wire = world.connect()
    silent.call("/a.B/Talk", "server")
    await world.settle()
    (accepted,) = world.server._strangers
    world.server._idle(accepted)
    await world.settle()
    assert wire.closed, "a call that says nothing is none"
    busy, wire = world.connect()
    call = busy.call("/a.B/Talk", "server")
    call.send(b"a")
    assert await call.message() == b"A"
    (accepted,) = world.server._strangers
    world.server._idle(accepted)
    await world.settle()
    assert not wire.closed


async def test_a_call_that_is_not_permitted_reaches_nobody(world: World) -> None:
    world.server.permit = lambda call: call.method != "/a.B/Echo"
    (ended,) = await asked(world, "/a.B/Echo", b"hi")
    assert isinstance(ended, Finished)
    assert (ended.code, ended.text) == (7, "invalid permissions to the specified endpoint")


async def test_who_may_not_connect_hears_nothing(world: World) -> None:
    world.server.admit = lambda channel: False
    _, wire = world.connect()
    await world.settle()
    assert wire.closed
    assert not world.server._channels


async def test_a_broken_connection_ends_without_a_trace(world: World, caplog: pytest.LogCaptureFixture) -> None:
    _, wire = world.connect()
    assert wire.own is not None
    wire.own.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await world.settle()
    assert wire.closed
    assert not world.server._channels
    assert "Traceback" not in caplog.text


def test_what_is_here_is_listed() -> None:
    world = World()
    assert [service.name for service in world.server.present()] == ["a.B"]
