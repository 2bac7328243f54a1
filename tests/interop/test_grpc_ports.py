"""The gRPC ports beside grpcio: plain text, TLS with and without a client's certificate, a Unix socket (X36, X37)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.process import AgentProcess, free_ports

from meshagent.agent.grpc.reflection import ANSWERED, ASKED, Asked
from meshagent.agent.peering.messages import EXCHANGE, EXCHANGE_METHOD, Exchange

grpc = pytest.importorskip("grpc")
health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
health_pb2_grpc = pytest.importorskip("grpc_health.v1.health_pb2_grpc")

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("grpc")
    authority = make_ca()
    (made / "ca.pem").write_bytes(authority.pem)
    for name in ("server", "client"):
        certificate, key = make_leaf(authority, name, "localhost")
        (made / f"{name}.pem").write_bytes(certificate)
        (made / f"{name}-key.pem").write_bytes(key)
    return made


@pytest.fixture(scope="module")
def agent(folder: Path) -> Iterator[AgentProcess]:
    """Its TLS port demands certificates."""
    tls = {
        "cert_file": str(folder / "server.pem"),
        "key_file": str(folder / "server-key.pem"),
        "ca_file": str(folder / "ca.pem"),
        "verify_incoming": True,
    }
    extra = {
        "addresses": {"grpc": f"unix://{folder / 'grpc.sock'} 127.0.0.1"},
        "unix_sockets": {"mode": "0600"},
        "tls": {"grpc": tls},
    }
    with AgentProcess.server(extra, ports=free_ports()) as running:
        running.wait("roots", lambda: running.get("/v1/connect/ca/roots")["Roots"])
        yield running


def status(channel: Any, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    found: int = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60, wait_for_ready=True).status
    return found


def tls_channel(agent: AgentProcess, folder: Path, *, client: bool) -> Any:
    shown = ((folder / "client-key.pem").read_bytes(), (folder / "client.pem").read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), *shown)
    return grpc.secure_channel(f"localhost:{agent.ports['grpc_tls']}", credentials)


def test_plain_text(agent: AgentProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{agent.ports['grpc']}") as channel:
        assert status(channel) == health_pb2.HealthCheckResponse.SERVING
        assert status(channel, "grpc.health.v1.Health") == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            status(channel, "a.B")
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="a.B"), timeout=60)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watched.cancel()


def test_compressed_questions_are_answered(agent: AgentProcess) -> None:
    address = f"127.0.0.1:{agent.ports['grpc']}"
    with grpc.insecure_channel(address, compression=grpc.Compression.Gzip) as channel:
        assert status(channel, "grpc.health.v1.Health") == health_pb2.HealthCheckResponse.SERVING


def test_services_are_listed(agent: AgentProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{agent.ports['grpc']}") as channel:
        for method in (REFLECTION, REFLECTION.replace("v1", "v1alpha")):
            ask = channel.stream_stream(method)
            questions = [Asked(list_services="*"), Asked(file_containing_symbol="grpc.health.v1.Health")]
            listed, file = ask(iter([ASKED.encode(question) for question in questions]), timeout=60)
            names = ANSWERED.decode(listed).list_services_response
            assert names is not None
            assert method.split("/")[1] in [one.name for one in names.service]
            assert ANSWERED.decode(file).file_descriptor_response is not None


def test_peers_may_call_the_plain_port(agent: AgentProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{agent.ports['grpc']}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(EXCHANGE_METHOD)(EXCHANGE.encode(Exchange("p", "guess")), timeout=60)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_unix_socket(agent: AgentProcess, folder: Path) -> None:
    path = folder / "grpc.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with grpc.insecure_channel(f"unix:{path}") as channel:
        assert status(channel) == health_pb2.HealthCheckResponse.SERVING


def test_tls_wants_a_certificate(agent: AgentProcess, folder: Path) -> None:
    with tls_channel(agent, folder, client=True) as channel:
        assert status(channel) == health_pb2.HealthCheckResponse.SERVING
    with tls_channel(agent, folder, client=False) as channel, pytest.raises(grpc.RpcError) as refused:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_another_certificate_after_a_reload(agent: AgentProcess, folder: Path) -> None:
    other = make_ca()
    before = (folder / "server.pem").read_bytes(), (folder / "server-key.pem").read_bytes()
    with tls_channel(agent, folder, client=True) as channel:
        assert status(channel) == health_pb2.HealthCheckResponse.SERVING
        certificate, key = make_leaf(other, "server", "localhost")
        (folder / "server.pem").write_bytes(certificate)
        (folder / "server-key.pem").write_bytes(key)
        try:
            assert agent.http("PUT", "/v1/agent/reload").status == 200
            assert status(channel) == health_pb2.HealthCheckResponse.SERVING, "a connection that stands lives on"
            shown = ((folder / "client-key.pem").read_bytes(), (folder / "client.pem").read_bytes())
            credentials = grpc.ssl_channel_credentials(other.pem, *shown)
            with grpc.secure_channel(f"localhost:{agent.ports['grpc_tls']}", credentials) as fresh:
                assert status(fresh) == health_pb2.HealthCheckResponse.SERVING
        finally:
            (folder / "server.pem").write_bytes(before[0])
            (folder / "server-key.pem").write_bytes(before[1])
            agent.http("PUT", "/v1/agent/reload")
