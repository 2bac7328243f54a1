from __future__ import annotations

from types import SimpleNamespace

from meshtest.inprocess import InProcess


async def test_without_an_envoy_there_is_none(live: InProcess) -> None:
    assert await live.get("/v1/agent/connect/envoys") == []


async def test_it_is_for_who_may_read_the_agent(guarded: InProcess) -> None:
    guarded.agent.extras["xds"] = SimpleNamespace(status=lambda: [{"ProxyID": "web-sidecar-proxy"}])
    assert await guarded.get("/v1/agent/connect/envoys") == [{"ProxyID": "web-sidecar-proxy"}]
    _, secret = await guarded.token('service "web" { policy = "write" }')
    answer = await guarded.ask("GET", "/v1/agent/connect/envoys", headers={"X-Consul-Token": secret})
    assert answer.status == 403
    assert "lacks permission 'agent:read'" in answer.text
