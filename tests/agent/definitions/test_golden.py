"""What a running Consul answered to registrations (tests/data/golden/http): the words, and what it stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshagent.agent.decode import decode_body
from meshagent.agent.definitions import CheckDefinition, ServiceDefinition, expand, lowest_free_port, to_service_row
from meshagent.errors import BadRequest

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "http"
_LATER = ("Scripts are disabled", 'ServiceID "', "not implemented", "method ")  # decided by the agent, not the form


def _steps(scenario: str, path: str) -> list[Any]:
    steps = json.loads((GOLDEN / f"{scenario}.json").read_text())["steps"]
    rows = []
    for number, step in enumerate(steps):
        request, answer = step.get("request", {}), step.get("response", {})
        if request.get("method") != "PUT" or request["path"].partition("?")[0] != path:
            continue
        if not answer.get("text", "").startswith(_LATER):
            body = json.dumps(request["json"]) if "json" in request else request.get("body", "")
            rows.append(pytest.param(body, answer["status"], answer.get("text", ""), id=f"{scenario}-{number}"))
    assert rows
    return rows


def _ports(_: str) -> int:
    return 21000


@pytest.mark.parametrize(
    ("body", "status", "text"),
    _steps("agent-services-errors", "/v1/agent/service/register")
    + _steps("agent-services", "/v1/agent/service/register"),
)
def test_service_register_answers_as_consul(body: str, status: int, text: str) -> None:
    try:
        definition = decode_body(ServiceDefinition, body.encode(), snake_case=True)
        definition.validate()
        expand(definition, sidecar_port=_ports)
    except BadRequest as error:
        assert (400, str(error)) == (status, text)
    else:
        assert status == 200


@pytest.mark.parametrize(
    ("body", "status", "text"),
    _steps("agent-checks-errors", "/v1/agent/check/register") + _steps("agent-checks", "/v1/agent/check/register"),
)
def test_check_register_answers_as_consul(body: str, status: int, text: str) -> None:
    try:
        decode_body(CheckDefinition, body.encode(), snake_case=True).validate()
    except BadRequest as error:
        assert (400, str(error)) == (status, text)
    else:
        assert status == 200


def _without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key not in keys}


def test_what_is_stored_is_what_consul_stored() -> None:
    """Replays the registrations of the scenario and compares each `agent/service/:id` that follows."""
    stored: dict[str, Any] = {}
    compared = 0
    for step in json.loads((GOLDEN / "agent-services.json").read_text())["steps"]:
        request, answer = step.get("request", {}), step.get("response", {})
        path = request.get("path", "")
        if path.startswith("/v1/agent/service/register") and answer["status"] == 200:
            definition = decode_body(ServiceDefinition, json.dumps(request["json"]).encode(), snake_case=True)
            used = {row["Port"] for row in stored.values()}
            for registration in expand(
                definition, sidecar_port=lambda _, used=used: lowest_free_port(used, 21000, 21255)
            ):
                row = to_service_row(registration.service)
                stored[row.id] = {"Port": 0, **json.loads(msgspec.json.encode(row))}  # agents show it always
        elif path.startswith("/v1/agent/service/") and "json" in answer and "?" not in path:
            want = _without(answer["json"], "ContentHash", "Datacenter", "Proxy", "Connect")
            have = _without(stored[want["ID"]], "Proxy", "Connect", "PeerName", "CreateIndex", "ModifyIndex")
            if want["ID"] == "plain" and want["Port"] == 8:
                continue  # registered while a request was waiting
            assert have == want
            proxy = _without(answer["json"].get("Proxy", {}), "MeshGateway", "Expose", "Mode", "Upstreams")
            if answer["json"].get("Kind"):
                assert _without(stored[want["ID"]]["Proxy"], "MeshGateway", "Expose", "Mode", "Upstreams") == proxy
            compared += 1
    assert compared >= 15
