from __future__ import annotations

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.http.inside import ask
from meshagent.errors import InternalError


async def test_the_agent_asks_its_own_api() -> None:
    agent = InProcess()
    await agent.start()
    assert (await ask(agent.dispatcher, "PUT", "/v1/kv/a", body=b"x"))[2] == b"true"
    status, headers, body = await ask(agent.dispatcher, "GET", "/v1/kv/a?raw")
    assert (status, body) == (200, b"x")
    assert int(headers["x-consul-index"]) > 1
    assert (await ask(agent.dispatcher, "GET", "/v1/kv/none", "token"))[0] == 404
    with pytest.raises(InternalError, match="does not end"):
        await ask(agent.dispatcher, "GET", "/v1/agent/monitor")
    await agent.stop()
