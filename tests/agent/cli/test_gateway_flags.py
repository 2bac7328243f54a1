"""`-gateway` and `-register` of `connect envoy` and `connect proxy`."""

from __future__ import annotations

from typing import Any

import click
import pytest

from meshagent.agent.cli import gateway_flags


class Agent:
    """Registrations at an agent."""

    def __init__(self, *services: dict[str, Any]) -> None:
        self.services = {one["ID"]: one for one in services}
        self.registered: list[dict[str, Any]] = []

    def get(self, path: str) -> Any:
        assert path == "agent/services"
        return self.services

    def put(self, path: str, value: Any) -> None:
        assert path == "agent/service/register"
        self.registered.append(value)


EDGE = {"ID": "edge-1", "Service": "edge", "Kind": "ingress-gateway"}


def test_a_gateway_is_called_by_its_kind() -> None:
    assert gateway_flags.gateway_of("", "x") == ("", "")
    assert gateway_flags.gateway_of("ingress", "edge") == ("ingress-gateway", "edge")
    assert gateway_flags.gateway_of("api", "") == ("api-gateway", "api-gateway")
    with pytest.raises(click.ClickException, match="must be one of"):
        gateway_flags.gateway_of("egress", "")


def test_the_only_one_is_meant_unless_one_is_named_or_registered() -> None:
    agent: Any = Agent(EDGE)
    assert gateway_flags.which(agent, "", "ingress-gateway", "", registers=False) == ("edge-1", "edge")
    assert gateway_flags.which(agent, "", "ingress-gateway", "new", registers=True) == ("new", "new")
    assert gateway_flags.which(agent, "own", "ingress-gateway", "edge", registers=False) == ("own", "edge")


def test_it_is_registered_with_a_check() -> None:
    agent: Any = Agent()
    gateway_flags.register(
        agent, "ingress-gateway", "edge", "edge", lan="127.0.0.1:8888", wan="", binds=("x=127.0.0.1:1",),
        deregister_after="1h",
    )  # fmt: skip
    (body,) = agent.registered
    assert (body["Kind"], body["Address"], body["Port"]) == ("ingress-gateway", "127.0.0.1", 8888)
    assert body["Check"]["TCP"] == "127.0.0.1:8888"
    assert list(body["Proxy"]["Config"]["envoy_gateway_bind_addresses"]) == ["x"]
    with pytest.raises(click.ClickException, match="missing port"):
        gateway_flags.register(agent, "api-gateway", "a", "a", lan="nowhere", wan="", binds=(), deregister_after="1h")
