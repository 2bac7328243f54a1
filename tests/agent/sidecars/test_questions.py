"""An agent answers for the sidecars that it serves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.sidecars import questions
from meshagent.agent.sidecars.messages import Ask, Said, decode_said, encode
from meshagent.agent.sidecars.questions import Question, answer, here, registered
from meshagent.catalog.model import Proxy, Service
from meshagent.errors import NotFound, RemoteProtocolError, Unavailable


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcess]:
    async def of(proxy_id: str, filters: tuple[tuple[str, str], ...]) -> AsyncGenerator[bytes, None]:
        if proxy_id.startswith("silent"):
            raise Unavailable("nothing listens")
        yield f"{proxy_id} {dict(filters)}".encode()

    monkeypatch.setattr(questions, "QUESTIONS", {"edges": Question(of, 1.0)})
    running = InProcess()
    await running.start()
    for name in ("web", "silent"):
        await running.put("/v1/agent/service/register", {"Name": name, "Port": 1, "Connect": {"SidecarService": {}}})
    yield running
    await running.stop()


async def said(world: InProcess, ask: Ask) -> list[Said]:
    return sorted([one async for one in here(world.agent, ask)], key=lambda one: (one.node, one.proxy_id))


async def test_each_sidecar_says_what_it_has_or_why_not(world: InProcess) -> None:
    assert await said(world, Ask("edges", filters=(("path", "/x"),))) == [
        Said("n1"),
        Said("n1", b"", "silent-sidecar-proxy", "nothing listens"),
        Said("n1", b"web-sidecar-proxy {'path': '/x'}", "web-sidecar-proxy"),
    ]
    assert [one.proxy_id for one in await said(world, Ask("edges", "web"))] == ["", "web-sidecar-proxy"]
    assert await said(world, Ask("edges", "none")) == [Said("n1")]


async def test_proxies_that_are_described_by_flags_count(world: InProcess) -> None:
    row: Any = Service(
        id="db by flags", name="db-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="db")
    )
    world.mesh.proxies._given["db by flags"] = row
    assert registered(world.agent, "db") == ["db by flags"]
    assert set(registered(world.agent)) == {"db by flags", "web-sidecar-proxy", "silent-sidecar-proxy"}


async def test_gateways_count_by_their_own_name(world: InProcess) -> None:
    gateway = {"Kind": "ingress-gateway", "ID": "edge-1", "Name": "edge", "Port": 1}
    await world.put("/v1/agent/service/register", gateway)
    assert registered(world.agent, "edge") == ["edge-1"]
    assert "edge-1" in registered(world.agent)


async def test_the_method_answers_in_pieces(world: InProcess) -> None:
    serve: Any = answer(world.agent)
    found = [decode_said(piece) async for piece in serve(None, encode(Ask("edges", "web")))]
    assert [one.proxy_id for one in found] == ["", "web-sidecar-proxy"]
    with pytest.raises(NotFound, match="does not know how to ask its sidecars for 'weather'"):
        [piece async for piece in serve(None, encode(Ask("weather")))]
    with pytest.raises(RemoteProtocolError):
        serve(None, b"\xc1")


def test_the_questions() -> None:
    assert set(questions.QUESTIONS) == {"edges", "tap"}
