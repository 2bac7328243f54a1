"""Servers come and go: a new one gets its vote when it was healthy for a while, a dead one goes (OP4-OP6, G21)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import AgentProcess, free_ports
from meshtest.servers import Servers

#: A busy machine must not make a server unhealthy again and again.
QUICK = {"autopilot": {"server_stabilization_time": "2s", "last_contact_threshold": "5s"}}


def voters(server: AgentProcess) -> dict[str, bool]:
    """Node -> whether it votes."""
    rows = server.get("/v1/operator/raft/configuration?stale")["Servers"]
    return {row["Node"]: row["Voter"] for row in rows}


@pytest.mark.timeout(240)
def test_a_server_joins_gets_its_vote_and_replaces_a_dead_one(tmp_path: Path) -> None:
    with Servers(3, QUICK) as servers:
        leader = servers.leader()
        leader.wait("three voters", lambda: list(voters(leader).values()) == [True] * 3, within_s=60.0)
        ports = free_ports(["http", "dns", "server", "serf_lan", "serf_wan", "grpc", "grpc_tls"])
        extra: dict[str, Any] = {"node_name": "s3", "bootstrap_expect": 0, **QUICK, **servers.joining}
        started = time.monotonic()
        with AgentProcess.server(extra, ports=ports, directory=tmp_path) as fourth:
            leader.wait("the fourth server", lambda: "s3" in voters(leader), within_s=60.0)
            leader.wait("its vote", lambda: voters(leader)["s3"], within_s=60.0)
            assert time.monotonic() - started >= 2
            state = fourth.wait(
                "autopilot to see it",
                lambda: len((found := fourth.get("/v1/operator/autopilot/state"))["Voters"]) == 4 and found,
            )
            assert {server["Status"] for server in state["Servers"].values()} == {"leader", "voter"}

            dead = servers.followers()[0]
            name = dead.get("/v1/agent/self")["Config"]["NodeName"]
            dead.kill()
            fourth.wait("the dead server's removal", lambda: name not in voters(fourth), within_s=60)
            assert sorted(voters(fourth).values()) == [True] * 3
            fourth.put("/v1/kv/still", body=b"1")
            health = fourth.wait(
                "a healthy cluster again",
                lambda: (answer := fourth.http("GET", "/v1/operator/autopilot/health")).status == 200 and answer,
                within_s=60.0,
            )
            assert health.body.startswith(b'{"Healthy":true,"FailureTolerance":1')

            dead.start()  # it believes that it votes, and is told otherwise
            fourth.wait("the lost server's return", lambda: voters(fourth).get(name), within_s=60)
            dead.put("/v1/kv/back", body=b"1")
            assert fourth.get("/v1/kv/back")[0]["Value"] == "MQ=="


@pytest.mark.timeout(120)
def test_a_dead_server_stays_when_the_least_number_would_not_be_met() -> None:
    with Servers(3, {"autopilot": {**QUICK["autopilot"], "min_quorum": 3}}) as servers:
        leader, dead = servers.leader(), servers.followers()[0]
        dead.kill()
        leader.wait(
            "the loss to be seen",
            lambda: leader.http("GET", "/v1/operator/autopilot/health").status == 429,
            within_s=60.0,
        )
        time.sleep(14)  # longer than a dead server is waited for
        assert len(voters(leader)) == 3
        dead.start()
        leader.wait(
            "a healthy cluster again",
            lambda: leader.http("GET", "/v1/operator/autopilot/health").status == 200,
            within_s=60.0,
        )
