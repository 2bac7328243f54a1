"""`/v1/agent/connect/proxy/:id`: what tests/agent/test_proxies.py does not ask."""

from __future__ import annotations

from meshtest.inprocess import InProcess, server_config


async def test_without_the_mesh_it_is_said(live: InProcess) -> None:
    off = InProcess(config=server_config(connect=type(live.config.connect)(enabled=False)))
    answer = await off.ask("GET", "/v1/agent/connect/proxy/x")
    assert (answer.status, answer.text) == (500, "Connect must be enabled in order to use this endpoint")


async def test_before_there_is_an_authority_there_is_no_leaf(live: InProcess) -> None:
    await live.put("/v1/agent/service/register", {"Name": "web", "Port": 80, "Connect": {"SidecarService": {}}})
    found = await live.get("/v1/agent/connect/proxy/web-sidecar-proxy")
    assert (found["leaf_chain"], found["leaf_key"], found["roots"]) == ("", "", [])
