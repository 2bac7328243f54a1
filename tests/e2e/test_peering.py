"""Two clusters of one server each that peer: token, stream, imports, roots, faults, both ways to end (PE1-PE3, X37)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, dial, exchange, free_port, sidecars


@pytest.fixture
def clusters() -> Iterator[tuple[AgentProcess, AgentProcess]]:
    """alpha exports and accepts, beta imports and dials."""
    with (
        AgentProcess.server({"node_name": "a1", "datacenter": "alpha"}) as alpha,
        AgentProcess.server({"node_name": "b1", "datacenter": "beta"}) as beta,
    ):
        yield alpha, beta


def register(agent: AgentProcess, name: str, status: str = "passing") -> None:
    service = {"Service": name, "ID": name, "Port": 8080, "Address": "10.1.2.3", "Tags": ["v1"], "Meta": {"k": "v"}}
    check = {
        "CheckID": f"c-{name}",
        "Name": "secret name",
        "Output": "secret output",
        "Status": status,
        "ServiceID": name,
    }
    body = {"Node": "ext", "Address": "10.1.2.3", "SkipNodeUpdate": False, "Service": service, "Check": check}
    assert agent.put("/v1/catalog/register", body).status == 200


def export(agent: AgentProcess, *names: str, peer: str = "beta") -> None:
    services = [{"Name": name, "Consumers": [{"Peer": peer}]} for name in names]
    entry = {"Kind": "exported-services", "Name": "default", "Services": services}
    if names:
        assert agent.put("/v1/config", entry).status == 200
    else:
        assert agent.http("DELETE", "/v1/config/exported-services/default").status == 200


def token(agent: AgentProcess, peer: str = "beta") -> str:
    def make() -> Any:
        answer = agent.http("POST", "/v1/peering/token", json={"PeerName": peer})
        return json.loads(answer.body)["PeeringToken"] if answer.status == 200 else None

    made: str = agent.wait("a token", make)
    return made


def establish(agent: AgentProcess, made: str, peer: str = "alpha") -> None:
    body = {"PeerName": peer, "PeeringToken": made}

    def ask() -> bool:
        answer = agent.http("POST", "/v1/peering/establish", json=body)
        assert answer.status in {200, 503}, answer.body  # 503: the other side has no certificate yet
        return answer.status == 200

    agent.wait("the peering", ask)


def state(agent: AgentProcess, peer: str) -> str:
    answer = agent.http("GET", f"/v1/peering/{peer}")
    return str(json.loads(answer.body)["State"]) if answer.status == 200 else ""


def imported(agent: AgentProcess, name: str, peer: str = "alpha") -> list[Any]:
    rows: list[Any] = agent.get(f"/v1/health/service/{name}?peer={peer}")
    return rows


def test_two_clusters_share_services_and_part(clusters: tuple[AgentProcess, AgentProcess]) -> None:
    alpha, beta = clusters
    register(alpha, "web")
    register(alpha, "hidden")
    export(alpha, "web")
    made = token(alpha)
    establish(beta, made)
    refused = beta.http("POST", "/v1/peering/establish", json={"PeerName": "again", "PeeringToken": made})
    assert (refused.status, refused.body) == (403, b"invalid peering establishment secret")

    (row,) = beta.wait("the import", lambda: imported(beta, "web"))
    assert (row["Service"]["Address"], row["Service"]["Tags"], row["Service"]["PeerName"]) == (
        "10.1.2.3", ["v1"], "alpha",
    )  # fmt: skip
    assert [(check["Name"], check["Status"], check["Output"]) for check in row["Checks"]] == [
        ("overall-check", "passing", "")
    ]
    assert imported(beta, "hidden") == []
    assert beta.get("/v1/health/service/web") == []
    for agent, peer, dc in ((alpha, "beta", "beta"), (beta, "alpha", "alpha")):
        agent.wait("both sides active", lambda agent=agent, peer=peer: state(agent, peer) == "ACTIVE")
        assert agent.get(f"/v1/peering/{peer}")["Remote"]["Datacenter"] == dc
    status = beta.get("/v1/peering/alpha")["StreamStatus"]
    assert status["ImportedServices"] == ["web"]
    assert alpha.get("/v1/peering/beta")["StreamStatus"]["ExportedServices"] == ["web"]

    register(alpha, "web", "critical")
    beta.wait(
        "the state",
        lambda: [check["Status"] for row in imported(beta, "web") for check in row["Checks"]] == ["critical"],
    )
    export(alpha, "web", "hidden")
    beta.wait("another service", lambda: imported(beta, "hidden"))
    export(alpha, "hidden")
    beta.wait("one less", lambda: imported(beta, "web") == [])

    alpha.kill()
    beta.wait("the loss is seen", lambda: state(beta, "alpha") == "FAILING")
    assert imported(beta, "hidden")
    alpha.start()
    beta.wait("the stream again", lambda: state(beta, "alpha") == "ACTIVE")

    assert alpha.http("DELETE", "/v1/peering/beta").status == 200
    beta.wait("the end is told", lambda: state(beta, "alpha") == "TERMINATED")
    beta.wait("nothing is left", lambda: imported(beta, "hidden") == [])
    alpha.wait("it is gone", lambda: state(alpha, "beta") == "")
    for agent in clusters:
        assert made not in agent.log()
        assert "Traceback" not in agent.log()


def test_a_sidecar_calls_a_service_of_a_peer(clusters: tuple[AgentProcess, AgentProcess], tmp_path: Path) -> None:
    """M54, M68: each side verifies the other by its own roots, and intentions tell peers apart."""
    alpha, beta = clusters
    export(alpha, "api")
    establish(beta, token(alpha))
    api, port = Echo(), free_port()
    with sidecars(alpha, tmp_path) as there, sidecars(beta, tmp_path) as here:
        there.register("api", api.port, sidecar_port=free_port())
        there.start("api")
        beta.wait("the sidecar", lambda: imported(beta, "api-sidecar-proxy"))
        upstream = {"DestinationName": "api", "DestinationPeer": "alpha", "LocalBindPort": port}
        here.register("web", free_port(), sidecar_port=free_port(), proxy={"Upstreams": [upstream]})
        here.start("web")
        beta.wait("an exchange", lambda: exchange(port) == b"hello")

        def intend(*sources: dict[str, str]) -> None:
            entry = {"Kind": "service-intentions", "Name": "api", "Sources": list(sources)}
            assert alpha.put("/v1/config", entry).status == 200

        with dial(port) as live:
            live.sendall(b"x")
            assert live.recv(1) == b"x"
            intend({"Name": "web", "Peer": "beta", "Action": "deny"})
            live.settimeout(60)
            assert live.recv(1) == b""  # cut
        beta.wait("the denial", lambda: exchange(port) != b"hello")
        intend({"Name": "web", "Action": "deny"}, {"Name": "web", "Peer": "beta", "Action": "allow"})
        beta.wait("an exchange again", lambda: exchange(port) == b"hello")
        export(alpha, "other")
        beta.wait("the end of the export", lambda: exchange(port) != b"hello")


def test_a_service_of_a_peer_is_reached_through_its_mesh_gateway(
    clusters: tuple[AgentProcess, AgentProcess], tmp_path: Path
) -> None:
    alpha, beta = clusters
    export(alpha, "api")
    establish(beta, token(alpha))
    api, port, gateway = Echo(), free_port(), free_port()
    with sidecars(alpha, tmp_path) as there, sidecars(beta, tmp_path) as here:
        there.register("api", api.port, sidecar_port=free_port())
        there.start("api")
        wan = {"wan": {"Address": "127.0.0.1", "Port": gateway}}
        there.gateway("mesh-gateway", "way-in", gateway, TaggedAddresses=wan)

        def ports() -> list[int]:
            return [row["Service"]["Port"] for row in imported(beta, "api-sidecar-proxy")]

        beta.wait("the gateway in the sidecar's place", lambda: ports() == [gateway])
        upstream = {"DestinationName": "api", "DestinationPeer": "alpha", "LocalBindPort": port}
        here.register("web", free_port(), sidecar_port=free_port(), proxy={"Upstreams": [upstream]})
        here.start("web")
        beta.wait("an exchange", lambda: exchange(port) == b"hello")
