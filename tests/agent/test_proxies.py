"""Snapshots of the proxies registered here: blocking on a hash, leafs, deregistration; endpoint and secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.proxies import UNUSED_S

WEB = {
    "Name": "web", "Port": 80,
    "Connect": {"SidecarService": {"Proxy": {"Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}]}}},
}  # fmt: skip
PATH = "/v1/agent/connect/proxy/web-sidecar-proxy"


@pytest.fixture
async def agent() -> AsyncIterator[InProcess]:
    running = InProcess()
    await running.start()
    assert running.mesh.authority is not None
    await running.mesh.authority.initialise()
    running.mesh.start()
    await running.put("/v1/agent/service/register", WEB)
    await running.settle()
    yield running
    await running.stop()


async def test_a_proxy_gets_everything_and_others_no_key(agent: InProcess) -> None:
    answer = await agent.ask("GET", PATH)
    shown = answer.json
    assert (shown["service"], shown["inbound"]["port"], shown["leaf_key"]) == ("web", 21000, "hidden")
    assert shown["outbound"][0]["chain"]["start"] == "resolver:db.default.default.dc1"
    assert len(shown["roots"]) == 1
    assert "PRIVATE KEY" not in answer.text
    secret = await agent.ask("GET", f"{PATH}?secrets")
    assert secret.json["leaf_key"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert secret.headers["x-consul-contenthash"] == answer.headers["x-consul-contenthash"]


async def test_who_has_it_waits_for_a_change_of_what_concerns_it(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=60s"))
    await agent.settle()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=other", {"Action": "deny"})
    await agent.settle()
    assert not waiting.done()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=web", {"Action": "deny"})
    answer = await waiting
    assert [one["source"] for one in answer.json["intentions"]] == ["a"]
    assert answer.headers["x-consul-contenthash"] != digest


async def test_a_wait_ends_with_the_same(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=1s"))
    await agent.clock.advance(1.2)
    assert (await waiting).headers["x-consul-contenthash"] == digest


async def test_a_new_leaf_and_a_new_registration_are_changes(agent: InProcess) -> None:
    first = await agent.ask("GET", PATH)
    digest = first.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.settle()
    await agent.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyBits": 384}})
    second = await waiting
    assert len(second.json["roots"]) == 2
    digest = second.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.clock.advance(31.0)
    third = await waiting
    assert third.json["leaf_chain"] != first.json["leaf_chain"]
    digest = third.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.settle()
    await agent.put("/v1/agent/service/register", {"Name": "web", "Port": 81, "Connect": {"SidecarService": {}}})
    assert (await waiting).json["outbound"] == []


async def test_a_proxy_that_is_deregistered_is_told(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.settle()
    await agent.put("/v1/agent/service/deregister/web")
    answer = await waiting
    assert (answer.status, answer.text) == (404, "unknown proxy ID: web-sidecar-proxy")
    assert (await agent.ask("GET", "/v1/agent/connect/proxy/web")).status == 404
    assert (await agent.ask("GET", "/v1/agent/connect/proxy/")).status == 400


async def test_what_nobody_asks_about_is_forgotten(agent: InProcess) -> None:
    await agent.put("/v1/agent/service/register", {"Name": "api", "Port": 81, "Connect": {"SidecarService": {}}})
    await agent.get(PATH)
    await agent.clock.advance(UNUSED_S + 1)
    await agent.get("/v1/agent/connect/proxy/api-sidecar-proxy")
    assert list(agent.mesh.proxies._proxies) == ["api-sidecar-proxy"]
