"""What Traefik, consul-esm, Fabio and registrator asked when they ran against an agent, asked again: rows V4, V7.

tests/interop/tools/run.py builds and runs the programs themselves (`make tools`) and keeps these recordings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from meshtest import ROOT
from meshtest.callrecorder import shape
from meshtest.process import AgentProcess

RECORDINGS = sorted((ROOT / "tests" / "data" / "tool_calls").glob("*.json"))


def stage(agent: AgentProcess) -> None:
    """What stood in the catalog when the recordings were made."""
    agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
    check = {"TTL": "1h", "Status": "passing"}
    sidecar = {"Port": 21000, "Checks": [check]}
    for body in (
        {
            "ID": "b1",
            "Name": "web",
            "Address": "127.0.0.1",
            "Port": 80,
            "Tags": ["traefik.enable=true"],
            "Check": check,
        },
        {"Name": "api", "Port": 81, "Tags": ["traefik.enable=true"], "Connect": {"SidecarService": sidecar}},
    ):
        assert agent.put("/v1/agent/service/register", body).status == 200
    external = {
        "Node": "external", "Address": "127.0.0.1", "NodeMeta": {"external-node": "true"},
        "Service": {"ID": "www", "Service": "www", "Port": 82},
        "Checks": [{"Name": "http", "CheckID": "www", "Status": "passing", "ServiceID": "www"}],
    }  # fmt: skip
    assert agent.put("/v1/catalog/register", external).status == 200
    agent.wait("the services", lambda: {"web", "api"} <= set(agent.get("/v1/catalog/services")), within_s=30)


@pytest.fixture(scope="module")
def staged() -> Iterator[AgentProcess]:
    with AgentProcess.server({}) as agent:
        stage(agent)
        yield agent


def fits(recorded: Any, told: Any) -> bool:
    """Every name that the tool was told is there again."""
    if isinstance(recorded, list) and isinstance(told, list):
        return set(recorded) <= set(told)
    return bool(recorded == told)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_each_call_is_answered_as_it_was(staged: AgentProcess, recording: Any) -> None:
    calls = json.loads(recording.read_text())["calls"]
    assert len(calls) >= 4
    session = ""
    for call in calls:
        path, body = (call[name].replace("{session}", session) for name in ("path", "body"))
        answer = staged.http(call["method"], path, body=body.encode())
        assert answer.status == call["status"], (call["method"], path, answer.body)
        if call["shape"] == "session":
            session = json.loads(answer.body)["ID"]
        elif path != "/v1/catalog/services":  # its names are those of the services
            assert fits(call["shape"], shape(answer.body)), (call["method"], path, answer.body)


def test_there_is_a_recording_of_each_tool() -> None:
    assert [path.stem for path in RECORDINGS] == ["consul-esm", "fabio", "registrator", "traefik"]
