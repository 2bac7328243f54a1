"""How an agent goes: SIGTERM, SIGINT, `leave`, and what the others see (G5, A23)."""

from __future__ import annotations

import signal

import pytest
from meshtest.process import AgentProcess


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_stops_at_once_and_cleanly(agent: AgentProcess, number: int) -> None:
    agent.put("/v1/kv/x", body=b"1")
    agent.signal(number)
    assert agent.process is not None
    assert agent.process.wait(10) == 0
    assert "Traceback" not in agent.log()


def test_leave_by_api_ends_the_process() -> None:
    with AgentProcess.server({"performance": {"raft_multiplier": 1, "leave_drain_time": "100ms"}}) as agent:
        agent.put("/v1/agent/leave")
        assert agent.process is not None
        assert agent.process.wait(15) == 0


def test_leave_on_terminate_leaves_gracefully() -> None:
    quick = {"leave_on_terminate": True, "performance": {"raft_multiplier": 1, "leave_drain_time": "100ms"}}
    with AgentProcess.server(quick) as agent:
        agent.signal(signal.SIGTERM)
        assert agent.process is not None
        assert agent.process.wait(15) == 0
        assert "leaving" in agent.log()


def test_open_blocking_queries_do_not_hold_up_a_stop(agent: AgentProcess) -> None:
    import socket

    agent.put("/v1/kv/x", body=b"1")
    index = agent.http("GET", "/v1/kv/x").headers["x-consul-index"]
    with socket.create_connection(("127.0.0.1", agent.ports["http"])) as waiting:
        waiting.sendall(f"GET /v1/kv/x?index={index}&wait=5m HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        agent.signal(signal.SIGTERM)
        assert agent.process is not None
        assert agent.process.wait(10) == 0
