"""What servers ask each other is for servers: users of a client agent go by HTTP, with their tokens."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import make_agent

from meshagent.agent.server_calls import server_methods
from meshagent.catalog.rpc.hello import CLIENT, Peer
from meshagent.errors import Denied


async def test_a_client_asks_none_of_it() -> None:
    methods: dict[str, Any] = server_methods(make_agent())  # type: ignore[assignment]
    client = Peer("c", "c1", "dc1", "", CLIENT, 1, 0)
    for method in methods.values():
        with pytest.raises(Denied, match="only servers ask this"):
            await method(client, b"")
    assert len(methods) == 5
