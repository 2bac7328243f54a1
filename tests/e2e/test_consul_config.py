"""A configuration directory of Consul's starts an agent as it is, and every part of it holds (G1, G2)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshtest.ask import dns_data
from meshtest.process import AgentProcess, free_ports, sidecar_ports

FOLDER = Path(__file__).parents[1] / "data" / "consul-config"
TOKEN = {"X-Consul-Token": "3e8b5f0a-9f0e-4b0a-8b2f-6a0d1c2e3f40"}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    ports = free_ports()
    folder = tmp_path / "consul.d"
    shutil.copytree(FOLDER, folder)
    (folder / "90-here.json").write_text(json.dumps({"ports": {**ports, **sidecar_ports()}}))
    args = ["agent", "-config-dir", str(folder), "-data-dir", str(tmp_path / "data")]
    with AgentProcess(args=args, ports=ports, directory=tmp_path) as running:
        yield running


def test_it_starts_unchanged_and_every_part_holds(agent: AgentProcess) -> None:
    def get(path: str) -> object:
        return agent.get(path, headers=TOKEN)

    agent.wait("the first token", lambda: get("/v1/agent/self"))  # a new leader writes it
    assert get("/v1/agent/self")["Member"]["Name"] == "dc1-server-1"  # type: ignore[index]
    agent.wait("the service", lambda: get("/v1/catalog/service/web"))
    (web,) = get("/v1/catalog/service/web")  # type: ignore[misc]
    assert (web["ServiceWeights"], web["NodeMeta"]["rack"]) == ({"Passing": 5, "Warning": 1}, "r1")
    assert set(get("/v1/agent/services")) == {"web-1", "web-1-sidecar-proxy"}  # type: ignore[call-overload]
    agent.wait("the entries", lambda: get("/v1/config/service-splitter/web"))
    assert get("/v1/discovery-chain/web")["Chain"]["Protocol"] == "http"  # type: ignore[index]
    assert len(get("/v1/operator/keyring")[0]["Keys"]) == 1  # type: ignore[index]
    assert get("/v1/operator/autopilot/configuration")["MaxTrailingLogs"] == 250  # type: ignore[index]
    anonymous = agent.http("GET", "/v1/kv/secret")
    assert anonymous.status == 403
    assert anonymous.headers["x-frame-options"] == "DENY"
    assert agent.http("GET", "/ui/dc1/services").status == 200
    assert agent.http("GET", "/v1/agent/metrics?format=prometheus", headers=TOKEN).body.startswith(b"# HELP")
    log = agent.log()
    assert "Traceback" not in log
    told = [line for line in log.splitlines() if "has no effect" in line]
    assert len(told) == len(set(told)), "each is told once"
    assert dns_data(agent, "web.service.consul") == []  # the anonymous token may not see it
