"""Sidecars whose services are registered in the catalog alone, on a node without an agent, served by a server.

Surface rows P6, M70: what a pod is on Kubernetes, with the built-in sidecar.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, Sidecars, exchange, free_port, sidecars

NODE = "k8s-1-virtual"


@pytest.fixture
def mesh(agent: AgentProcess, tmp_path: Path) -> Iterator[Sidecars]:
    agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
    with sidecars(agent, tmp_path) as running:
        yield running


def register(agent: AgentProcess, name: str, port: int, upstreams: dict[str, int]) -> None:
    """A pod's service and sidecar, as an endpoints controller writes them."""
    own = {"Service": name, "ID": f"{name}-1", "Address": "127.0.0.1", "Port": port}
    wanted = [{"DestinationName": to, "LocalBindPort": at} for to, at in upstreams.items()]
    sidecar = {
        "Service": f"{name}-sidecar-proxy", "ID": f"{name}-1-sidecar-proxy", "Kind": "connect-proxy",
        "Address": "127.0.0.1", "Port": free_port(), "Weights": {"Passing": 0, "Warning": 0},
        "Proxy": {
            "DestinationServiceName": name, "DestinationServiceID": f"{name}-1", "LocalServicePort": port,
            "Upstreams": wanted,
        },
    }  # fmt: skip
    for service in (own, sidecar):
        body: dict[str, Any] = {"Node": NODE, "Address": "127.0.0.1", "Service": service}
        assert agent.put("/v1/catalog/register", body).status == 200


def test_p6_pods_talk_through_sidecars_that_a_server_leads(agent: AgentProcess, mesh: Sidecars) -> None:
    api, port = Echo(), free_port()
    register(agent, "api", api.port, {})
    register(agent, "web", free_port(), {"api": port})
    for name in ("api-1", "web-1"):
        mesh.start(name, "-proxy-id", f"{name}-sidecar-proxy", "-node-name", NODE)
    agent.wait("a first exchange", lambda: exchange(port) == b"hello")
    mesh.intention("web", "api", "deny")
    agent.wait("the deny", lambda: exchange(port) == b"")
    mesh.intention("web", "api", "allow")
    agent.wait("the allow", lambda: exchange(port) == b"hello")
    other = Echo()
    register(agent, "web", free_port(), {"api": port, "other": (second := free_port())})
    register(agent, "other", other.port, {})
    mesh.start("other-1", "-proxy-id", "other-1-sidecar-proxy", "-node-name", NODE)
    agent.wait("an upstream that came later", lambda: exchange(second) == b"hello")
