"""gRPC between our sidecar and a real Envoy with its HTTP connection manager, both ways: HTTP/2 over mutual TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from meshtest.grpcpeers import EchoClient, EchoServer
from meshtest.meshpeers import PeerWorld, connection_manager, envoy, envoy_listener, http2_cluster
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import free_port, sidecars

PATIENCE = 30.0
H2 = {"alpn_protocols": ["h2"]}


@pytest.fixture
def world(agent: AgentProcess, tmp_path: Path) -> Iterator[PeerWorld]:
    with sidecars(agent, tmp_path) as mesh:
        entry = {"Kind": "service-defaults", "Name": "api", "Protocol": "grpc"}
        assert agent.put("/v1/config", entry).status == 200
        yield PeerWorld(agent, mesh, tmp_path)


@pytest.fixture
def server() -> Iterator[EchoServer]:
    made = EchoServer("api")
    yield made
    made.close()


def every_kind_of_call(world: PeerWorld, port: int) -> None:
    client = EchoClient(port)

    def answered() -> Any:
        try:
            return client.say(b"hello", timeout=PATIENCE) == b"hello"
        except grpc.RpcError:
            return False

    try:
        world.agent.wait("a first call", answered)
        big = b"x" * 500_000
        assert client.say(big, timeout=PATIENCE) == big
        assert list(client.count(b"200", timeout=PATIENCE))[-1] == b"199"
        assert client.sum(iter([big] * 4), timeout=PATIENCE) == b"2000000"
        assert list(client.chat(iter([b"a", b"b"]), timeout=PATIENCE)) == [b"a", b"b"]
        with pytest.raises(grpc.RpcError) as caught:
            client.say(b"fail NOT_FOUND nothing here", timeout=PATIENCE)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "nothing here")
        calls = [client.say.future(b"%d" % at, timeout=PATIENCE) for at in range(100)]
        assert [call.result() for call in calls] == [b"%d" % at for at in range(100)]
    finally:
        client.close()


def test_envoy_calls_a_service_behind_our_sidecar(world: PeerWorld, server: EchoServer) -> None:
    world.mesh.register("api", server.port, sidecar_port=free_port())
    world.mesh.start("api")
    public = world.agent.get("/v1/agent/service/api-sidecar-proxy")["Port"]
    port = free_port()
    listener = envoy_listener(
        port, public, dial=world.leaf("web"), accepts=(world.identity("api"),), common=H2,
        cluster=http2_cluster(), filters=[connection_manager(public)],
    )  # fmt: skip
    with envoy(world.folder, "envoy", listener, port=port):
        every_kind_of_call(world, port)
        world.mesh.intention("web", "api", "deny")
        client = EchoClient(port)
        with pytest.raises(grpc.RpcError) as caught:
            while True:  # until the sidecar has heard of it
                client.say(b"hello", timeout=PATIENCE)
        client.close()
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_our_sidecar_calls_a_service_behind_envoy(world: PeerWorld, server: EchoServer) -> None:
    ports = free_ports(["api", "local"])
    world.mesh.register("api", server.port, sidecar_port=ports["api"])
    world.mesh.register("web", free_port(), {"api": ports["local"]}, sidecar_port=free_port())
    listener = envoy_listener(
        ports["api"], server.port, serve=world.leaf("api"), common=H2, cluster=http2_cluster(),
        filters=[connection_manager(server.port)],
    )  # fmt: skip
    with envoy(world.folder, "envoy", listener, port=ports["api"]):
        world.mesh.start("web")
        every_kind_of_call(world, ports["local"])
