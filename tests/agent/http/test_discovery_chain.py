"""`/v1/discovery-chain` (surface row DC1): blocking, overrides, virtual addresses; the golden scenario has the rest."""

from __future__ import annotations

import asyncio

from meshtest.inprocess import InProcess


async def test_a_watcher_is_woken_by_what_the_chain_is_made_of_alone(live: InProcess) -> None:
    await live.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    index = (await live.ask("GET", "/v1/discovery-chain/web")).headers["x-consul-index"]
    waiting = asyncio.ensure_future(live.ask("GET", f"/v1/discovery-chain/web?index={index}&wait=60s"))
    await live.settle()
    await live.put("/v1/config", {"Kind": "service-defaults", "Name": "other", "Protocol": "http"})
    await live.settle()
    assert not waiting.done()
    splits = [{"Weight": 50}, {"Weight": 50, "Service": "other"}]
    await live.put("/v1/config", {"Kind": "service-splitter", "Name": "web", "Splits": splits})
    answer = await waiting
    assert answer.json["Chain"]["StartNode"] == "splitter:web.default.default"


async def test_questions_with_different_bodies_are_different(live: InProcess) -> None:
    await live.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    for protocol in ("tcp", "http", "grpc"):
        answer = await live.ask("POST", "/v1/discovery-chain/web", {"OverrideProtocol": protocol})
        assert answer.json["Chain"]["Protocol"] == protocol
        assert answer.headers["x-consul-effective-consistency"] == "leader"


async def test_an_entry_gives_a_service_a_virtual_address_and_the_last_one_takes_it_back(live: InProcess) -> None:
    path = "/v1/discovery-chain/web"
    assert (await live.get(path))["Chain"]["AutoVirtualIPs"] is None
    await live.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    await live.put("/v1/config", {"Kind": "service-resolver", "Name": "web", "ConnectTimeout": "1s"})
    assert (await live.get(path))["Chain"]["AutoVirtualIPs"] == ["240.0.0.1"]
    await live.ask("DELETE", "/v1/config/service-defaults/web")
    assert (await live.get(path))["Chain"]["AutoVirtualIPs"] == ["240.0.0.1"]
    await live.ask("DELETE", "/v1/config/service-resolver/web")
    assert (await live.get(path))["Chain"]["AutoVirtualIPs"] is None


async def test_an_instance_that_goes_leaves_the_address_to_the_entry(live: InProcess) -> None:
    await live.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    await live.put("/v1/agent/service/register", {"Name": "web", "Port": 1, "Connect": {"SidecarService": {}}})
    await live.settle()
    await live.put("/v1/agent/service/deregister/web")
    await live.settle()
    assert (await live.get("/v1/discovery-chain/web"))["Chain"]["AutoVirtualIPs"] == ["240.0.0.1"]
