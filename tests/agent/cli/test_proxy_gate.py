"""The start gate: what is still missing."""

from __future__ import annotations

import socket
from typing import Any

from meshagent.agent.cli.client import Client, Endpoint
from meshagent.agent.cli.proxy_gate import unready, wait_ready

SIDECAR = {"web-sidecar-proxy": {"ID": "web-sidecar-proxy", "Kind": "connect-proxy",
           "Proxy": {"DestinationServiceID": "web"}}}  # fmt: skip


def test_each_thing_that_is_missing_is_named(stub: Any) -> None:
    client = Client(Endpoint(stub.address))
    stub.answer("agent/services", {})
    assert unready(client, "web") == "no sidecar is registered"
    stub.answer("agent/services", SIDECAR)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        there, not_there = server.getsockname()[1], closed.getsockname()[1]
        snapshot: dict[str, Any] = {"leaf_chain": "", "inbound": {"address": "0.0.0.0", "port": not_there}}
        path = "agent/connect/proxy/web-sidecar-proxy"
        stub.answer(path, snapshot)
        assert unready(client, "web") == "there is no leaf certificate yet"
        stub.answer(path, snapshot | {"leaf_chain": "x"})
        assert unready(client, "web") == f"the public port does not listen at 0.0.0.0:{not_there}"
        good = {"leaf_chain": "x", "inbound": {"address": "0.0.0.0", "port": there}}
        up = {"name": "db", "address": "127.0.0.1", "port": not_there}
        stub.answer(path, good | {"outbound": [up]})
        assert unready(client, "web") == f"the upstream db does not listen at 127.0.0.1:{not_there}"
        stub.answer(path, good | {"outbound": [up | {"port": there}]})
        assert wait_ready(client, "web", 0.0) == ""


def test_an_agent_that_does_not_answer_is_waited_for(stub: Any) -> None:
    assert "code: 404" in wait_ready(Client(Endpoint(stub.address)), "web", 0.0)
