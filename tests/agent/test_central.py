"""Proxies registered here follow central configuration (surface row M6)."""

from __future__ import annotations

import asyncio
import json

from meshtest.inprocess import InProcess

from meshagent.agent.saved import encode_service

WEB = {"Name": "web", "Port": 80, "Connect": {"SidecarService": {}}}
DEFAULTS = {
    "Kind": "proxy-defaults",
    "Name": "global",
    "Config": {"protocol": "http"},
    "MeshGateway": {"Mode": "local"},
}


async def test_what_is_there_and_what_comes_is_merged_synced_and_seen() -> None:
    agent = InProcess()
    await agent.start()
    await agent.put("/v1/agent/service/register", WEB)
    await agent.settle()
    before = await agent.get("/v1/agent/service/web-sidecar-proxy")
    waiting = asyncio.ensure_future(
        agent.get(f"/v1/agent/service/web-sidecar-proxy?hash={before['ContentHash']}&wait=60s")
    )
    await agent.settle()
    assert not waiting.done()
    await agent.put("/v1/config", DEFAULTS)
    await agent.settle()
    assert (await waiting)["Proxy"]["Config"] == {"protocol": "http"}
    (row,) = await agent.get("/v1/catalog/connect/web")
    assert (row["ServiceProxy"]["Config"], row["ServiceProxy"]["MeshGateway"]) == (
        {"protocol": "http"},
        {"Mode": "local"},
    )
    await agent.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "grpc"})
    await agent.settle()
    (row,) = await agent.get("/v1/catalog/connect/web")
    assert row["ServiceProxy"]["Config"] == {"protocol": "grpc"}
    await agent.ask("DELETE", "/v1/config/service-defaults/web")
    await agent.ask("DELETE", "/v1/config/proxy-defaults/global")
    await agent.settle()
    (row,) = await agent.get("/v1/catalog/connect/web")
    assert "Config" not in row["ServiceProxy"]
    await agent.stop()


async def test_what_is_saved_is_what_was_registered() -> None:
    agent = InProcess()
    await agent.start()
    await agent.put("/v1/config", DEFAULTS)
    await agent.put("/v1/agent/service/register", WEB)
    entry = agent.local.services["web-sidecar-proxy"]
    assert entry.service.proxy.config == {"protocol": "http"}
    assert "Config" not in json.loads(encode_service(entry))["Service"]["Proxy"]
    await agent.put("/v1/agent/service/register", WEB)
    assert agent.local.services["web-sidecar-proxy"].registered.proxy.config is None
    await agent.stop()


async def test_reads_may_ask_for_the_merged_view_of_a_plain_registration() -> None:
    agent = InProcess()
    await agent.start()
    proxy = {"DestinationServiceName": "web"}
    service = {"Service": "p", "ID": "p", "Kind": "connect-proxy", "Port": 1, "Proxy": proxy}
    await agent.put("/v1/catalog/register", {"Node": "x", "Address": "10.0.0.1", "Service": service})
    await agent.put("/v1/config", DEFAULTS)
    for path, key in (("/v1/health/connect/web", "Service"), ("/v1/health/service/p", "Service")):
        (plain,) = await agent.get(path)
        (both,) = await agent.get(f"{path}?merge-central-config")
        assert "Config" not in plain[key]["Proxy"]
        assert both[key]["Proxy"]["Config"] == {"protocol": "http"}
    (both,) = await agent.get("/v1/catalog/service/p?merge-central-config")
    assert both["ServiceProxy"]["Config"] == {"protocol": "http"}
    listed = await agent.get("/v1/catalog/node-services/x?merge-central-config")
    assert listed["Services"][0]["Proxy"]["Config"] == {"protocol": "http"}
    await agent.stop()
