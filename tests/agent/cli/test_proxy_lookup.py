"""Which registration is meant: the sidecar of a service, the gateway of a kind, a proxy of another node."""

from __future__ import annotations

from typing import Any

import click
import pytest

from meshagent.agent.cli.client import Client, Endpoint
from meshagent.agent.cli.proxy_lookup import only_gateway, registration, sidecar_of
from meshagent.errors import MeshError


def sidecar(name: str, destination: str) -> dict[str, Any]:
    return {"ID": name, "Kind": "connect-proxy", "Proxy": {"DestinationServiceID": destination}}


def test_thesidecar_of_a_service_is_found_by_its_destination(stub: Any) -> None:
    stub.answer("agent/services", {"x": sidecar("x", "web"), "web": {"ID": "web"}, "y": sidecar("y", "api")})
    assert sidecar_of(Client(Endpoint(stub.address)), "web") == "x"


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([], "No mesh-gateway services registered with this agent"),
        (
            ["mesh-gateway", "mesh-gateway"],
            "Cannot lookup the mesh-gateway's proxy ID because multiple are registered with the agent",
        ),
    ],
)
def test_no_gateway_and_several(stub: Any, kinds: list[str], message: str) -> None:
    stub.answer("agent/services", {str(at): {"ID": str(at), "Kind": kind} for at, kind in enumerate(kinds)})
    with pytest.raises(click.ClickException) as caught:
        only_gateway(Client(Endpoint(stub.address)), "mesh-gateway")
    assert caught.value.message == message


def test_the_gateway_of_a_kind(stub: Any) -> None:
    stub.answer("agent/services", {"a": {"ID": "a", "Kind": "mesh-gateway"}, "b": sidecar("b", "web")})
    assert only_gateway(Client(Endpoint(stub.address)), "mesh-gateway")["ID"] == "a"


def test_what_the_agent_does_not_say(stub: Any) -> None:
    stub.answer("agent/services", b"no", status=403)
    client = Client(Endpoint(stub.address))
    with pytest.raises(click.ClickException, match="Failed looking up mesh-gateway instances: Unexpected response"):
        only_gateway(client, "mesh-gateway")
    with pytest.raises(click.ClickException, match="Failed looking up sidecar proxy info for web: Unexpected"):
        sidecar_of(client, "web")


def test_a_proxy_of_another_node(stub: Any) -> None:
    stub.answer("catalog/node-services/n9", {"Services": [{"ID": "p", "Service": "web-proxy"}]})
    client = Client(Endpoint(stub.address))
    assert registration(client, "p", "n9")["Service"] == "web-proxy"
    assert stub.last.query == {"merge-central-config": ""}
    with pytest.raises(MeshError, match="the node n9 has no service q"):
        registration(client, "q", "n9")
