"""What survives: a restart, and kill -9 under load (G6, K14, KV5). Nothing acknowledged is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from meshtest.ask import dns_data
from meshtest.process import AgentProcess
from meshtest.register import passing_ids, register


def test_services_checks_and_keys_survive_a_restart() -> None:
    with AgentProcess.server() as agent:
        register(
            agent,
            {"Name": "web", "ID": "w1", "Address": "10.0.0.1", "Port": 80, "Tags": ["v1"], "Check": {"TTL": "1h"}},
        )
        agent.put("/v1/agent/check/register", {"Name": "disk", "TTL": "1h"})
        agent.put("/v1/agent/check/pass/service:w1?note=fine")
        agent.put("/v1/agent/check/pass/disk")  # a failing node check would take every service with it
        agent.put("/v1/kv/a/b", body=b"c")
        agent.put("/v1/catalog/register", {"Node": "far", "Address": "10.9.9.9", "Service": {"Service": "db"}})
        agent.wait("passing", lambda: passing_ids(agent) == ["w1"])
        self_before = agent.get("/v1/agent/self")["Config"]["NodeID"]
        index = int(agent.http("GET", "/v1/kv/a/b").headers["x-consul-index"])
        assert agent.stop() == 0

        agent.start()
        agent.wait("passing again", lambda: passing_ids(agent) == ["w1"])
        assert agent.http("GET", "/v1/kv/a/b?raw").body == b"c"
        assert int(agent.http("GET", "/v1/kv/a/b").headers["x-consul-index"]) >= index
        assert agent.get("/v1/agent/checks")["service:w1"]["Output"] == "fine"
        assert "disk" in agent.get("/v1/agent/checks")
        assert [row["Node"] for row in agent.get("/v1/catalog/service/db")] == ["far"]
        assert agent.get("/v1/agent/self")["Config"]["NodeID"] == self_before
        assert dns_data(agent, "v1.web.service.consul") == ["10.0.0.1"]


@pytest.mark.parametrize("rounds", [3])
def test_no_acknowledged_write_is_lost_by_kill_9(rounds: int) -> None:
    """The long form is tests/chaos/kill9.py (1,000 rounds)."""
    with AgentProcess.server() as agent:
        acknowledged: dict[str, bytes] = {}
        for round_number in range(rounds):
            stop = threading.Event()

            def write(writer: int, round_number: int = round_number, stop: threading.Event = stop) -> None:
                count = 0
                while not stop.is_set():
                    key, value = f"r{round_number}/w{writer}/{count}", f"{round_number}.{writer}.{count}".encode()
                    try:
                        if agent.http("PUT", f"/v1/kv/{key}", body=value, timeout_s=5).body.strip() == b"true":
                            acknowledged[key] = value
                    except OSError:
                        return
                    count += 1

            writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
            for one in writers:
                one.start()
            enough = len(acknowledged) + 40
            agent.wait("some writes", lambda enough=enough: len(acknowledged) > enough, within_s=60.0)
            agent.kill()
            stop.set()
            for one in writers:
                one.join(10)
            agent.start()
            rows = {row["Key"]: row["Value"] for row in agent.get("/v1/kv/?recurse")}
            missing = [key for key in acknowledged if key not in rows]
            assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged writes are gone: {missing[:5]}"


def test_a_second_agent_on_the_same_data_is_refused(agent: AgentProcess, tmp_path: Path) -> None:
    assert agent.config is not None
    from meshtest.process import free_ports

    ports = free_ports()
    other = AgentProcess({**agent.config, "ports": ports}, ports=ports, directory=tmp_path)
    other.start(ready=False)
    assert other.process is not None
    try:
        assert other.process.wait(15) == 1
        assert "data" in other.log()
    finally:
        other.stop()
    assert agent.alive
