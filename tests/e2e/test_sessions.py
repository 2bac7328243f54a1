"""Sessions and locks of a real server (E5-E8, TX1): what holds across kill -9, and that a time to live ends."""

from __future__ import annotations

import json
from typing import Any

from meshtest.process import AgentProcess


def put(agent: AgentProcess, path: str, value: Any = None, body: bytes | None = None) -> Any:
    return json.loads(agent.http("PUT", path, json=value, body=body).body)


def create(agent: AgentProcess, **body: Any) -> str:
    session_id: str = put(agent, "/v1/session/create", body)["ID"]
    return session_id


def test_holders_and_transactions_survive_kill_9_and_a_ttl_starts_anew() -> None:
    with AgentProcess.server({"session_ttl_min": "1s"}) as agent:
        agent.wait("its own health", lambda: agent.get("/v1/health/state/any"))
        holder = create(agent, Name="holder", TTL="1h")
        short = create(agent, TTL="1s", LockDelay="0s")
        rival = create(agent)
        assert put(agent, f"/v1/kv/held?acquire={holder}", body=b"1") is True
        assert put(agent, f"/v1/kv/short?acquire={short}", body=b"1") is True
        ops = [{"KV": {"Verb": "set", "Key": f"t/{at}", "Value": "MQ=="}} for at in range(3)]
        assert put(agent, "/v1/txn", ops)["Errors"] is None
        agent.kill()

        agent.start()
        assert agent.get(f"/v1/session/info/{holder}")[0]["Name"] == "holder"
        assert agent.get("/v1/kv/held")[0]["Session"] == holder
        assert put(agent, f"/v1/kv/held?acquire={rival}", body=b"2") is False
        assert agent.get("/v1/kv/t/?keys") == ["t/0", "t/1", "t/2"]
        agent.wait("the short one to end", lambda: agent.get(f"/v1/session/info/{short}") == [])
        assert put(agent, f"/v1/kv/short?acquire={rival}", body=b"2") is True
        assert put(agent, f"/v1/session/destroy/{holder}") is True
        assert put(agent, f"/v1/kv/held?acquire={rival}", body=b"2") is False, "the lock-delay"
