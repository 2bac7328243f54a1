"""Registrations the tests use over and over, as the agent API takes them (surface A10)."""

from __future__ import annotations

import json
from typing import Any

from meshtest.backends import Backend
from meshtest.process import AgentProcess


def http_checked(backend: Backend, name: str = "web", **more: Any) -> dict[str, Any]:
    """A service at the backend's address, with a quick HTTP check on it."""
    return {
        "Name": name,
        "ID": backend.name,
        "Address": backend.address,
        "Port": backend.port,
        "Check": {"HTTP": f"http://{backend.address}:{backend.port}/", "Interval": "1s", "Timeout": "1s"},
        **more,
    }


def register(agent: AgentProcess, *definitions: dict[str, Any]) -> None:
    for definition in definitions:
        agent.put("/v1/agent/service/register", definition)


def passing_ids(agent: AgentProcess, name: str = "web") -> list[str]:
    rows = json.loads(agent.http("GET", f"/v1/health/service/{name}?passing").body)
    return sorted(row["Service"]["ID"] for row in rows)


def wait_passing(agent: AgentProcess, *ids: str, name: str = "web", within_s: float = 60.0) -> None:
    agent.wait(f"{name} passing: {ids}", lambda: passing_ids(agent, name) == sorted(ids), within_s=within_s)
