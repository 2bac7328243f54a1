from __future__ import annotations

from meshtest.inprocess import InProcess

from meshagent.agent.http.inside import read


async def test_the_agent_reads_its_own_api() -> None:
    agent = InProcess()
    await agent.start()
    await agent.ask("PUT", "/v1/kv/a", body=b"x")
    status, headers, body = await read(agent.dispatcher, "/v1/kv/a?raw", "")
    assert (status, body) == (200, b"x")
    assert int(headers["x-consul-index"]) > 1
    assert (await read(agent.dispatcher, "/v1/kv/none", "t"))[0] == 404
    await agent.stop()
