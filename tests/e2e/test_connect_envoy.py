"""`connect envoy -bootstrap` at a real agent prints what a Consul printed for the same writes and the same flags."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from meshtest import ROOT
from meshtest.process import AgentProcess, free_ports, meshagent_command

RECORDED = sorted((ROOT / "tests/data/golden/mesh/bootstrap").glob("*.json"))


def filled(value: Any, places: dict[str, Any]) -> Any:
    """A recording with this agent's ports in it: a number where one stands alone."""
    if isinstance(value, dict):
        return {key: filled(one, places) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, places) for one in value]
    if isinstance(value, str):
        if value in places:
            return places[value]
        for name, place in places.items():
            value = value.replace(name, str(place))
    return value


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_bootstrap_is_the_recorded_one(module_agent: AgentProcess, path: Path) -> None:
    agent = module_agent
    places = {"<http>": agent.url, "<grpc>": agent.ports["grpc"]}
    recorded = filled(json.loads(path.read_text()), places)
    for step in recorded["inputs"]:
        answer = agent.http(step["method"], step["path"], json=step["body"])
        assert answer.status == 200, answer
    line = [*meshagent_command(), "connect", "envoy", *recorded["args"]]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == recorded["bootstrap"]
    agent.http("DELETE", "/v1/config/proxy-defaults/global")


def test_the_first_line_of_the_documentation() -> None:
    """With the ports of `agent -dev`, in plain text and with TLS, nothing but the service has to be said."""
    ports = free_ports()
    dev = {"http": ports["http"], "grpc": ports["grpc"], "grpc-tls": ports["grpc_tls"], "dns": ports["dns"]}
    dev |= {"server": ports["server"], "serf-lan": ports["serf_lan"], "serf-wan": ports["serf_wan"]}
    flags = [word for name, port in dev.items() for word in (f"-{name}-port", str(port))]
    with AgentProcess(args=["agent", "-dev", *flags], ports=ports) as agent:
        definition = {"Name": "web", "Port": 8080, "Connect": {"SidecarService": {}}}
        assert agent.put("/v1/agent/service/register", definition).status == 200
        line = [*meshagent_command(), "connect", "envoy", "-sidecar-for", "web", "-bootstrap", "-http-addr", agent.url]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        [local, *_] = json.loads(done.stdout)["static_resources"]["clusters"]
        assert f'"port_value": {ports["grpc"]}' in json.dumps(local)
        assert "transport_socket" not in local
