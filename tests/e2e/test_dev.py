"""`meshagent agent -dev`: no files, in memory, answering within moments (G8)."""

from __future__ import annotations

from pathlib import Path

from meshtest.ask import dns_data
from meshtest.process import AgentProcess, free_ports
from meshtest.register import register


def dev(tmp_path: Path) -> AgentProcess:
    ports = free_ports()
    flags = {name: f"-{name.replace('_', '-')}-port" for name in ports}
    args = ["agent", "-dev", "-node", "laptop"]
    args += [word for name, port in ports.items() for word in (flags[name], str(port))]
    return AgentProcess(args=args, ports=ports, directory=tmp_path)


def test_dev_answers_and_keeps_nothing(tmp_path: Path) -> None:
    with dev(tmp_path) as agent:
        assert agent.get("/v1/agent/self")["Config"]["NodeName"] == "laptop"
        assert agent.get("/v1/agent/self")["Config"]["Server"] is True
        register(agent, {"Name": "web", "Address": "10.0.0.1", "Port": 80})
        agent.put("/v1/kv/a", body=b"1")
        agent.wait("web by DNS", lambda: dns_data(agent, "web.service.consul") == ["10.0.0.1"])
        assert dns_data(agent, "laptop.node.consul") == ["127.0.0.1"]
        assert {path.name for path in tmp_path.iterdir()} == {"agent.log"}
        agent.stop()
        agent.start()
        assert agent.http("GET", "/v1/kv/a").status == 404
