"""Fixtures: an agent, and its HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from meshtest.httpapi import Api, make_agent
from meshtest.inprocess import InProcess, guarded_config

from meshagent.agent.core import Agent
from meshagent.agent.http.server import HttpServer
from meshagent.agent.http.settings import HttpSettings

MakeApi = Callable[..., Awaitable[Api]]


@pytest.fixture
def agent() -> Agent:
    return make_agent()


@pytest.fixture
async def make_api() -> AsyncIterator[MakeApi]:
    """Start an API with given settings."""
    started: list[Api] = []

    async def make(settings: HttpSettings | None = None, routes: Any = None) -> Api:
        agent = make_agent()
        server = HttpServer(agent, settings or HttpSettings(), routes)
        _, port = await server.listen("127.0.0.1", 0)
        started.append(Api(agent, server, port))
        return started[-1]

    yield make
    for api in started:
        await api.stop()


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    return await make_api()


@pytest.fixture
async def guarded() -> AsyncIterator[InProcess]:
    """The same with ACLs on; it asks as `MANAGER` unless it is given another token."""
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def live() -> AsyncIterator[InProcess]:
    """An agent on virtual time with its registrations, checks and anti-entropy."""
    running = InProcess()
    await running.start()
    yield running
    await running.stop()
