"""A real Envoy with static configuration at the other end of our mutual TLS, both ways; leafs from our authority."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshtest.meshpeers import PeerWorld, envoy, envoy_listener
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Echo, dial, exchange, free_port, sidecars


@pytest.fixture
def world(agent: AgentProcess, tmp_path: Path) -> Iterator[PeerWorld]:
    with sidecars(agent, tmp_path) as mesh:
        yield PeerWorld(agent, mesh, tmp_path)


def whole(port: int, data: bytes) -> bytes:
    """All that comes back after `data` and an end of writing."""
    with dial(port, 30.0) as connection:
        got = bytearray()

        def read() -> None:
            while chunk := connection.recv(1 << 20):
                got.extend(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        reader.join(30)
    return bytes(got)


def test_envoy_calls_a_service_behind_our_sidecar(world: PeerWorld) -> None:
    api = Echo()
    world.mesh.register("api", api.port, sidecar_port=free_port())
    world.mesh.start("api")
    public = world.agent.get("/v1/agent/service/api-sidecar-proxy")["Port"]
    ports = free_ports(["web", "other"])
    accepts = (world.identity("api"),)
    as_web = envoy_listener(ports["web"], public, dial=world.leaf("web"), accepts=accepts)
    wrong = envoy_listener(
        ports["other"], public, dial=world.leaf("web"), accepts=(world.identity("db"),), cluster={"name": "wrong"}
    )
    wrong[0]["filter_chains"][0]["filters"][0]["typed_config"]["cluster"] = "wrong"
    with envoy(world.folder, "envoy", as_web, wrong, port=ports["web"]):
        world.agent.wait("a first exchange", lambda: exchange(ports["web"]) == b"hello", within_s=30)
        data = os.urandom(2_000_000)
        assert whole(ports["web"], data) == data + b"BYE"
        assert [exchange(ports["web"]) for _ in range(10)] == [b"hello"] * 10, "resumed or not"
        assert exchange(ports["other"]) == b"", "Envoy asked for another service than ours proves to be"
        with dial(ports["web"], 30.0) as live:
            live.sendall(b"live")
            assert live.recv(4) == b"live"
            world.mesh.intention("web", "api", "deny")
            try:
                assert live.recv(10) == b""
            except ConnectionError:
                pass
        accepted = api.accepted
        assert exchange(ports["web"]) == b""
        assert api.accepted == accepted
        world.mesh.intention("web", "api", "allow")
        world.agent.wait("allowed again", lambda: exchange(ports["web"]) == b"hello", within_s=30)


def test_our_sidecar_calls_a_service_behind_envoy(world: PeerWorld) -> None:
    far, local, wrong = Echo(), free_port(), free_port()
    ports = free_ports(["far", "wrong"])
    world.mesh.register("far", far.port, sidecar_port=ports["far"])
    world.mesh.register("wrong", far.port, sidecar_port=ports["wrong"])
    world.mesh.register("web", free_port(), {"far": local, "wrong": wrong}, sidecar_port=free_port())
    world.mesh.start("web")
    right = envoy_listener(ports["far"], far.port, serve=world.leaf("far"))
    other = envoy_listener(ports["wrong"], far.port, serve=world.leaf("other"))
    with envoy(world.folder, "envoy", right, (other[0], right[1]), port=ports["far"]) as peer:
        world.agent.wait("a first exchange", lambda: exchange(local) == b"hello", within_s=30)
        data = os.urandom(2_000_000)
        assert whole(local, data) == data + b"BYE"
        assert [exchange(local) for _ in range(10)] == [b"hello"] * 10
        assert exchange(wrong) == b"", "who has another service's leaf is not that service"
        assert "critical" not in peer.log()
