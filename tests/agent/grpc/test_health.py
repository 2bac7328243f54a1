from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from meshtest.inprocess import InProcess
from meshtest.peer_clusters import joined

from meshagent.agent.grpc import health
from meshagent.agent.grpc.channel import Channel
from meshagent.agent.grpc.connection import Finished, Received
from meshagent.agent.grpc.health import ASKED, STATUS, Asked
from meshagent.agent.grpc.server import GrpcServer


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    agent = InProcess().agent
    server = GrpcServer(agent, [health.SERVICE])
    agent.extras["grpc"] = SimpleNamespace(server=server)
    made = Channel(dials=True, max_message=1000)
    joined(made, server.accept())
    yield made
    await server.stop()
    await agent.tasks.cancel()


@pytest.mark.parametrize("service", ["", "grpc.health.v1.Health"])
async def test_what_is_here_serves(channel: Channel, service: str) -> None:
    call = channel.call("/grpc.health.v1.Health/Check", "server")
    call.send(ASKED.encode(Asked(service)))
    answer = await call.message()
    assert answer is not None
    assert STATUS.decode(answer).status == health.SERVING


async def test_what_is_not_here_is_not_found(channel: Channel) -> None:
    call = channel.call("/grpc.health.v1.Health/Check", "server")
    call.send(ASKED.encode(Asked("a.B")))
    assert await call.next() == Finished(call.number, 5, "unknown service")


@pytest.mark.parametrize(("service", "status"), [("", health.SERVING), ("a.B", health.SERVICE_UNKNOWN)])
async def test_who_watches_is_told_and_waits(channel: Channel, service: str, status: int) -> None:
    call = channel.call("/grpc.health.v1.Health/Watch", "server")
    call.send(ASKED.encode(Asked(service)))
    call.end()
    answer = await call.next()
    assert isinstance(answer, Received)
    assert STATUS.decode(answer.message).status == status
    for _ in range(20):
        await asyncio.sleep(0)
    assert call.events.empty()
    call.cancel()
