"""Registrations by file, JSON and HCL, and their reload on SIGHUP and by API (G1, G2, G4, G24)."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

from meshtest.ask import dns_data
from meshtest.process import AgentProcess, free_ports

WEB_JSON = {
    "service": {
        "name": "web",
        "id": "w1",
        "address": "10.0.0.1",
        "port": 8080,
        "tags": ["v1"],
        "meta": {"a": "b"},
        "check": {"id": "alive", "ttl": "30s", "status": "passing"},
    }
}
DB_HCL = """
services {
  name = "db"
  id   = "db1"
  address = "10.0.0.2"
  port = 5432
}
services {
  name = "db"
  id   = "db2"
  address = "10.0.0.3"
  port = 5432
  weights = { passing = 10, warning = 1 }
}
check = {
  id = "disk"
  name = "disk space"
  ttl = "30s"
  status = "passing"
}
"""


def with_directory(tmp_path: Path) -> AgentProcess:
    ports = free_ports()
    config = {
        "server": True,
        "bootstrap_expect": 1,
        "node_name": "n1",
        "data_dir": str(tmp_path / "data"),
        "bind_addr": "127.0.0.1",
        "ports": ports,
    }
    directory = tmp_path / "conf.d"
    directory.mkdir()
    (directory / "10-agent.json").write_text(json.dumps(config))
    (directory / "20-web.json").write_text(json.dumps(WEB_JSON))
    (directory / "30-db.hcl").write_text(DB_HCL)
    (directory / "notes.txt").write_text("not read")
    return AgentProcess(args=["agent", "-config-dir", str(directory)], ports=ports, directory=tmp_path)


def test_files_are_registered_and_follow_a_reload(tmp_path: Path) -> None:
    directory = tmp_path / "conf.d"
    with with_directory(tmp_path) as agent:
        agent.wait("web by DNS", lambda: dns_data(agent, "v1.web.service.consul") == ["10.0.0.1"])
        agent.wait("db by DNS", lambda: dns_data(agent, "db.service.consul") == ["10.0.0.2", "10.0.0.3"])
        services = agent.get("/v1/agent/services")
        assert services["db2"]["Weights"] == {"Passing": 10, "Warning": 1}
        assert services["w1"]["Meta"] == {"a": "b"}
        assert {"alive", "disk"} <= set(agent.get("/v1/agent/checks"))

        changed = json.loads(json.dumps(WEB_JSON))
        changed["service"]["tags"] = ["v2"]
        (directory / "20-web.json").write_text(json.dumps(changed))
        (directory / "30-db.hcl").unlink()
        agent.signal(signal.SIGHUP)
        agent.wait("the new tag", lambda: dns_data(agent, "v2.web.service.consul") == ["10.0.0.1"])
        agent.wait("db is gone", lambda: set(agent.get("/v1/agent/services")) == {"w1"})
        agent.wait("db is gone from DNS", lambda: dns_data(agent, "db.service.consul") == [])

        (directory / "30-db.hcl").write_text(DB_HCL)
        agent.put("/v1/agent/reload")
        agent.wait("db is back", lambda: len(dns_data(agent, "db.service.consul")) == 2)


def test_a_bad_file_on_reload_changes_nothing_and_is_reported(tmp_path: Path) -> None:
    with with_directory(tmp_path) as agent:
        agent.wait("web", lambda: "w1" in agent.get("/v1/agent/services"))
        (tmp_path / "conf.d" / "20-web.json").write_text('{"service": {"name": "web", "prot": 1}}')
        (tmp_path / "conf.d" / "50-skipped.bak").touch()
        refused = agent.http("PUT", "/v1/agent/reload")
        assert refused.status == 500
        assert b"20-web.json" in refused.body
        assert b"prot" in refused.body
        assert "[WARN]  agent: skipping file " in agent.log()
        agent.signal(signal.SIGHUP)
        agent.wait("the error in the log", lambda: "20-web.json" in agent.log())
        assert agent.get("/v1/agent/services")["w1"]["Port"] == 8080
        assert agent.alive


def test_the_api_cannot_be_shadowed_by_files(tmp_path: Path) -> None:
    """What was registered by API stays through a reload."""
    with with_directory(tmp_path) as agent:
        agent.put("/v1/agent/service/register", {"Name": "api", "Port": 1})
        agent.put("/v1/agent/reload")
        assert {"api", "w1", "db1", "db2"} == set(agent.get("/v1/agent/services"))


def test_a_changed_file_is_taken_up_by_itself(tmp_path: Path) -> None:  # G4
    agent = with_directory(tmp_path)
    directory = tmp_path / "conf.d"
    (directory / "05-watch.hcl").write_text("auto_reload_config = true")
    with agent:
        changed = json.loads(json.dumps(WEB_JSON).replace("8080", "8081"))
        (directory / "20-web.json").write_text(json.dumps(changed))
        agent.wait("the new port", lambda: agent.get("/v1/agent/service/w1")["Port"] == 8081)
        (directory / "20-web.json").write_text('{"service": {"nome": "web"}}')
        agent.wait("the refusal", lambda: "the old configuration stays" in agent.log())
        assert agent.get("/v1/agent/service/w1")["Port"] == 8081


def test_metrics_are_sent_to_statsd_and_dogstatsd(tmp_path: Path) -> None:  # G27
    path = tmp_path / "dog.sock"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dog,
        socket.create_server(("127.0.0.1", 0)) as statsite,
    ):
        statsd.bind(("127.0.0.1", 0))
        dog.bind(str(path))
        telemetry = {
            "statsd_address": f"127.0.0.1:{statsd.getsockname()[1]}",
            "statsite_address": f"127.0.0.1:{statsite.getsockname()[1]}",
            "dogstatsd_addr": f"unix://{path}",
            "dogstatsd_tags": ["env:test"],
            "disable_hostname": True,
        }
        with AgentProcess.server({"telemetry": telemetry}):
            for sock in (statsd, dog, statsite):
                sock.settimeout(60)
            stream, _ = statsite.accept()
            with stream, stream.makefile() as lines:
                first = statsd.recv(65536).decode().splitlines()
                assert "consul.autopilot.failure_tolerance:0|g" in first
                assert dog.recv(65536).decode().splitlines()[0].endswith("|g|#env:test")
                assert lines.readline() == f"{first[0]}\n"
