from __future__ import annotations

from meshtest.httpapi import Api


async def test_st1_st2(api: Api) -> None:
    assert (await api.get("/v1/status/leader?dc=dc1")).json == "127.0.0.1:8300"
    assert (await api.get("/v1/status/peers")).json == ["127.0.0.1:8300"]
    assert (await api.get("/v1/status/leader?dc=dc9")).text == "No path to datacenter"


async def test_st1_no_leader(api: Api) -> None:
    api.agent.log.leading = False  # type: ignore[misc]
    assert (await api.get("/v1/status/leader")).json == ""
