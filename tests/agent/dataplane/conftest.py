"""Servers in this process, with ACLs (`guarded`) and without (`live`), and calls of their services for dataplanes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest import protos
from meshtest.inprocess import InProcess, guarded_config

from meshagent.agent.dataplane.table import SERVICES

HANDLERS = {method.name: method.handler for service in SERVICES for method in service.methods}


class Caller:
    """Calls a method by its name with Google's messages: `await caller("Login", token, auth_method="k8s")`."""

    def __init__(self, server: InProcess) -> None:
        self.server = server

    async def __call__(self, method: str, token: str = "", /, **fields: Any) -> Any:
        call: Any = SimpleNamespace(token=token, metadata={})
        answer = await HANDLERS[method](self.server.agent, call, protos.asked(method)(**fields).SerializeToString())
        return protos.answered(method).FromString(answer)

    async def stream(self, method: str, token: str = "", /, **fields: Any) -> AsyncIterator[Any]:
        call: Any = SimpleNamespace(token=token, metadata={})
        asked = protos.asked(method)(**fields).SerializeToString()
        async for told in HANDLERS[method](self.server.agent, call, asked):
            yield protos.answered(method).FromString(told)


async def _started(server: InProcess) -> InProcess:
    await server.start()
    assert server.mesh.authority is not None
    await server.mesh.authority.initialise()
    server.mesh.start()
    return server


@pytest.fixture
async def live() -> AsyncIterator[InProcess]:
    server = await _started(InProcess())
    yield server
    await server.stop()


@pytest.fixture
async def guarded() -> AsyncIterator[InProcess]:
    server = await _started(InProcess(config=guarded_config()))
    yield server
    await server.stop()


@pytest.fixture
def calls(live: InProcess) -> Caller:
    return Caller(live)


@pytest.fixture
def asks(guarded: InProcess) -> Caller:
    return Caller(guarded)
