"""Two servers and their clients, joined by real RPC on loopback: one question reaches the sidecars of all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.clientworld import until
from meshtest.httpapi import make_agent

from meshagent.agent.core import Agent
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.sidecars import everywhere as module
from meshagent.agent.sidecars import questions
from meshagent.agent.sidecars.everywhere import Everywhere
from meshagent.agent.sidecars.messages import METHOD, Ask, Said, encode
from meshagent.agent.sidecars.questions import Question, answer
from meshagent.catalog.model import Proxy, Service
from meshagent.catalog.rpc.client import Dialler, epochs
from meshagent.catalog.rpc.hello import CLIENT, Identity
from meshagent.catalog.rpc.link import Link
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import SystemClock
from meshagent.errors import Denied, NotFound, Unavailable
from meshagent.metrics import Metrics

IDS = {"s1": "11111111-2222-3333-4444-000000000001", "s2": "11111111-2222-3333-4444-000000000002"}


def entry(service: str) -> Any:
    row = Service(id=f"{service}-proxy", name=f"{service}-proxy", kind="connect-proxy",
                  proxy=Proxy(destination_service_name=service))  # fmt: skip
    return SimpleNamespace(service=row)


class World:
    """s1 with the clients c1 and c2, s2 with c3, and whoever else the pool is told of."""

    def __init__(self) -> None:
        self.members = [
            Member(name=name, addr="127.0.0.1", port=1, tags={"role": "consul", "dc": "dc1", "port": "1", "id": id_})
            for name, id_ in IDS.items()
        ]
        self.servers: dict[str, RpcServer] = {}
        self.everywhere: dict[str, Everywhere] = {}
        self.diallers: dict[str, Dialler] = {}
        self._epochs = epochs()

    def agent(self, name: str) -> Agent:
        agent = make_agent(SystemClock())
        agent.node_name, agent.node_id = name, IDS.get(name, name)
        agent.local = SimpleNamespace(services={f"web-{name}": entry("web")})  # type: ignore[assignment]
        agent.extras["members"] = SimpleNamespace(members=lambda: self.members)
        return agent

    async def start(self) -> World:
        for name, id_ in IDS.items():
            server = self.servers[name] = RpcServer(
                Identity(id_, name, "dc1", "c"), clock=SystemClock(), metrics=Metrics()
            )
            server.listen("127.0.0.1", 0)
            found = Everywhere(self.agent(name), lambda server=server: server.links, self.link)  # type: ignore[misc]
            self.everywhere[name] = found
            server.methods.update(found.methods())
        await self.dial("s1>s2", "s2", Identity(IDS["s1"], "s1", "dc1", "c"))
        for name, server_name in (("c1", "s1"), ("c2", "s1"), ("c3", "s2")):
            await self.client(name, server_name)
        return self

    async def client(self, name: str, server: str) -> None:
        self.members.append(Member(name=name, addr="127.0.0.1", port=1))
        methods = {METHOD: answer(self.agent(name))}
        await self.dial(name, server, Identity(f"id-{name}", name, "dc1", "c", role=CLIENT), methods)

    async def dial(self, name: str, server: str, identity: Identity, methods: Any = None) -> None:
        up = asyncio.Event()
        address = self.servers[server]._sockets[0].getsockname()
        dialler = self.diallers[name] = Dialler(
            f"127.0.0.1:{address[1]}",
            identity=lambda: identity,
            security=Security,
            clock=SystemClock(),
            rng=random.Random(1),
            metrics=Metrics(),
            epochs=self._epochs,
            methods=methods,
            on_change=lambda _: up.set(),
        )
        dialler.start()
        async with asyncio.timeout(30):
            await up.wait()

    def link(self, node_id: str) -> Link | None:
        return self.diallers["s1>s2"].link if node_id == IDS["s2"] else None

    async def stop(self) -> None:
        for dialler in self.diallers.values():
            await dialler.stop()
        for server in self.servers.values():
            await server.stop()

    async def said(self, ask: Ask) -> dict[str, list[Said]]:
        found: dict[str, list[Said]] = {}
        async for one in self.everywhere["s1"].ask(ask):
            found.setdefault(one.node, []).append(one)
        return found


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async def edges(proxy_id: str, _: Any) -> AsyncGenerator[bytes, None]:
        yield b"edges"

    async def tap(proxy_id: str, filters: tuple[tuple[str, str], ...]) -> AsyncGenerator[bytes, None]:
        while True:
            yield dict(filters)["path"].encode()
            await asyncio.sleep(0.001)

    async def stuck(proxy_id: str, _: Any) -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    rows = {"edges": Question(edges, 30.0), "tap": Question(tap, None), "stuck": Question(stuck, 0.2)}
    monkeypatch.setattr(questions, "QUESTIONS", rows)
    monkeypatch.setattr(module, "QUESTIONS", rows)
    running = await World().start()
    yield running
    await running.stop()


async def test_every_host_is_asked_once(world: World) -> None:
    found = await world.said(Ask("edges", "web"))
    assert found == {name: [Said(name), Said(name, b"edges", "web-proxy")] for name in ("s1", "s2", "c1", "c2", "c3")}
    assert await world.said(Ask("edges", "none")) == {name: [Said(name)] for name in found}


async def test_who_cannot_be_asked_is_named(world: World) -> None:
    world.members += [
        Member(name="consul-agent", addr="127.0.0.1", port=1),
        Member(name="gone", addr="127.0.0.1", port=1, status=Status.FAILED),
    ]
    world.diallers["c2"]._methods = {}
    await world.diallers["c2"].stop()
    await world.diallers["s1>s2"].stop()
    server = world.servers["s1"]
    await until(lambda: all(link.peer is None or link.peer.node_name != "c2" for link in server.links), timeout=30)
    found = await world.said(Ask("edges"))
    reasons = {name: [one.problem for one in said if one.problem] for name, said in found.items()}
    assert reasons == {
        "s1": [], "c1": [], **{name: ["no server can reach it"] for name in ("c2", "c3", "s2", "consul-agent")}
    }  # fmt: skip


async def test_an_agent_of_an_older_release_is_named(world: World) -> None:
    world.members.append(Member(name="old", addr="127.0.0.1", port=1))
    await world.dial("old", "s1", Identity("id-old", "old", "dc1", "c", role=CLIENT), {"other": answer(None)})  # type: ignore[arg-type]
    (said,) = (await world.said(Ask("edges")))["old"]
    assert "has no method 'sidecars'" in said.problem


async def test_a_host_that_does_not_answer_is_given_up(world: World) -> None:
    found = await world.said(Ask("stuck"))
    for name in ("s1", "c1", "c3"):
        assert found[name] == [Said(name), Said(name, b"", "web-proxy", "it did not answer within 0.2 s")]


async def test_an_agent_that_does_not_answer_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> AsyncGenerator[bytes, None]:
        yield encode(Said("mute"))
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "FURTHER_S", 0.0)
    world.members.append(Member(name="mute", addr="127.0.0.1", port=1))
    identity = Identity("id-mute", "mute", "dc1", "c", role=CLIENT)
    await world.dial("mute", "s1", identity, {METHOD: lambda _, __: silent()})
    found = await world.said(Ask("stuck"))
    assert found["mute"] == [Said("mute"), Said("mute", problem="it did not answer within 0.2 s")]


async def test_of_two_connections_the_newer_is_asked(world: World) -> None:
    agent = world.agent("c1")
    agent.local.services.clear()
    await world.dial("c1 again", "s1", Identity("id-c1", "c1", "dc1", "c", role=CLIENT), {METHOD: answer(agent)})
    assert (await world.said(Ask("edges")))["c1"] == [Said("c1")]


async def test_a_tap_goes_on_until_nobody_listens(world: World) -> None:
    everywhere = world.everywhere["s1"]
    heard: set[str] = set()
    async with asyncio.timeout(30), aclosing(everywhere.ask(Ask("tap", "web", (("path", "/x"),)))) as answers:
        async for said in answers:
            if said.body:
                assert said.body == b"/x"
                heard.add(said.node)
            if heard == {"s1", "s2", "c1", "c2", "c3"}:
                break
    assert everywhere._endless == 0
    links = [link for dialler in world.diallers.values() if (link := dialler.link)]
    await until(lambda: not any(link._serving for link in links), timeout=30)


async def test_a_tap_names_who_is_missing_while_it_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FURTHER_S", 0.0)
    monkeypatch.setattr(module, "FIRST_S", 0.3)
    world.members.append(Member(name="consul-agent", addr="127.0.0.1", port=1))
    async with asyncio.timeout(30), aclosing(world.everywhere["s1"].ask(Ask("tap", "", (("path", "/"),)))) as answers:
        async for said in answers:
            if said.node == "consul-agent":
                break
    assert said == Said("consul-agent", problem="no server can reach it")


async def test_taps_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    ask = Ask("tap", "", (("path", "/"),))
    async with aclosing(world.everywhere["s1"].ask(ask)) as first:
        await anext(first)
        with pytest.raises(Unavailable, match="too many taps"):
            await anext(world.everywhere["s1"].ask(ask))


async def test_only_servers_may_ask_a_server(world: World) -> None:
    async def refused(name: str, ask: Ask) -> None:
        link = world.diallers[name].link
        assert link is not None
        async for _ in link.stream(METHOD, encode(ask), 30.0):
            pass

    with pytest.raises(Denied, match="only servers ask this"):
        await refused("c1", Ask("edges"))
    with pytest.raises(NotFound, match="'weather'"):
        await refused("s1>s2", Ask("weather"))
