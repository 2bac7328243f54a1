"""The main path on a real process: register, check, and what DNS and HTTP say of it at once (A10, K11, HL3, D2, D5)."""

from __future__ import annotations

import json
import threading
import time

from meshtest.ask import dns_answer, dns_data
from meshtest.backends import backends
from meshtest.golden import Answer
from meshtest.process import AgentProcess
from meshtest.register import http_checked, passing_ids, register, wait_passing


def test_from_registration_to_dns_and_back(agent: AgentProcess) -> None:
    assert dns_answer(agent, "web.service.consul").rcode == "NXDOMAIN"
    with backends("b1", "b2", addresses=("127.0.0.2", "127.0.0.3")) as (one, two):
        register(agent, http_checked(one, Tags=["v1"]), http_checked(two, Tags=["v2"]))
        wait_passing(agent, "b1", "b2")
        assert dns_data(agent, "web.service.consul") == ["127.0.0.2", "127.0.0.3"]
        assert dns_data(agent, "v2.web.service.consul", tcp=True) == ["127.0.0.3"]
        srv = dns_data(agent, "_web._tcp.service.consul", "SRV")
        assert [record.split()[:3] for record in srv] == [["1", "1", str(one.port)]] * 2
        one.status = 500
        wait_passing(agent, "b2")
        assert dns_data(agent, "web.service.consul") == ["127.0.0.3"]
        failing = [check for check in agent.get("/v1/health/checks/web") if check["ServiceID"] == "b1"]
        assert "500 Internal Server Error" in failing[0]["Output"]
        one.status = 200
        wait_passing(agent, "b1", "b2")
    wait_passing(agent)  # both are gone: connection refused
    assert dns_answer(agent, "web.service.consul").rcode == "NXDOMAIN"
    agent.put("/v1/agent/service/deregister/b1")
    agent.put("/v1/agent/service/deregister/b2")
    agent.wait("the catalog forgets them", lambda: agent.http("GET", "/v1/catalog/service/web").body == b"[]")


def test_a_blocking_query_answers_the_moment_a_check_changes(agent: AgentProcess) -> None:
    register(agent, {"Name": "web", "ID": "w1", "Port": 80, "Check": {"TTL": "60s"}})
    agent.wait("w1 in the catalog", lambda: agent.get("/v1/health/service/web"))
    index = agent.http("GET", "/v1/health/service/web?passing").headers["x-consul-index"]
    woken: list[Answer] = []

    def watch() -> None:
        woken.append(agent.http("GET", f"/v1/health/service/web?passing&index={index}&wait=20s", timeout_s=30))

    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.3)
    changed = time.monotonic()
    agent.put("/v1/agent/check/pass/service:w1")
    watcher.join(10)
    assert woken
    assert time.monotonic() - changed < 1.0
    assert [row["Service"]["ID"] for row in json.loads(woken[0].body)] == ["w1"]
    assert int(woken[0].headers["x-consul-index"]) > int(index)


def test_maintenance_takes_a_service_out_of_every_answer(agent: AgentProcess) -> None:
    register(agent, {"Name": "web", "ID": "w1", "Address": "10.0.0.1", "Port": 80})
    agent.wait("w1 is found", lambda: passing_ids(agent) == ["w1"])
    agent.put("/v1/agent/service/maintenance/w1?enable=true&reason=oil")
    agent.wait("w1 is out", lambda: passing_ids(agent) == [])
    assert dns_answer(agent, "web.service.consul").rcode == "NXDOMAIN"
    agent.put("/v1/agent/service/maintenance/w1?enable=false")
    agent.wait("w1 is back", lambda: dns_data(agent, "web.service.consul") == ["10.0.0.1"])


def test_a_script_check_runs_only_where_it_is_allowed(agent: AgentProcess) -> None:
    """K10: off unless enabled; where enabled, the exit code is the status and the output is kept."""
    definition = {"Name": "job", "ID": "j1", "Check": {"Args": ["sh", "-c", "echo tired; exit 1"], "Interval": "1s"}}
    refused = agent.http("PUT", "/v1/agent/service/register", json=definition)
    assert refused.status == 500 or refused.status == 400
    assert b"Scripts are disabled" in refused.body
    with AgentProcess.server({"enable_script_checks": True}) as other:
        register(other, definition)
        other.wait("a warning", lambda: [c["Status"] for c in other.get("/v1/health/checks/job")] == ["warning"])
        assert "tired" in other.get("/v1/health/checks/job")[0]["Output"]
