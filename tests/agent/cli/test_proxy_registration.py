"""The registration of a proxy by flags: its shape, and that it is taken back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from meshtest.peers import wait_until

from meshagent.agent.cli.client import Client, Endpoint
from meshagent.agent.cli.proxy_registration import definition, keep_registered


def test_names_are_those_of_consul() -> None:
    made = definition("web", "", "127.0.0.1", 20000)
    assert (made["ID"], made["Name"], made["Check"]["CheckID"]) == ("web-proxy", "web-proxy", "web-proxy-ttl")
    assert definition("web", "2", "", 1)["ID"] == "web-proxy-2"


async def test_it_is_kept_and_taken_back(stub: Any) -> None:
    stub.answer("agent/service/register", {}, method="PUT")
    stub.answer("agent/service/deregister/web-proxy", {}, method="PUT")
    client = Client(Endpoint(stub.address))
    task = asyncio.ensure_future(keep_registered(client, definition("web", "", "127.0.0.1", 20000)))
    loop = asyncio.get_running_loop()

    def asked() -> bool:
        return any(one.path.endswith("service/register") for one in stub.asked)

    await loop.run_in_executor(None, lambda: wait_until("a registration", asked, within_s=30))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert stub.last.path == "/v1/agent/service/deregister/web-proxy"
