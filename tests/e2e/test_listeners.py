"""Where it listens: unix sockets, HTTPS and client certificates, several addresses, ports off (G11, G12, G15)."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from meshtest.clients import http_request
from meshtest.peers import output, program
from meshtest.process import AgentProcess, free_ports

from meshagent import CONSUL_VERSION, __version__


def test_a_unix_socket_serves_the_api(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    ports = free_ports()
    extra = {"addresses": {"http": f"unix://{path} 127.0.0.1"}, "unix_sockets": {"mode": "0600"}}
    with AgentProcess.server(extra, ports=ports) as agent:
        assert json.loads(http_request(str(path), "GET", "/v1/status/leader").body)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert agent.get("/v1/status/leader")
        log = agent.log()
        assert f" [INFO]  agent: version: meshagent={__version__} consul={CONSUL_VERSION}\n" in log
        assert (
            f" [INFO]  agent: node: name=n1 id={agent.get('/v1/agent/self')['Config']['NodeID']} datacenter=dc1\n"
            in log
        )
        for line in (
            f"listening: protocol=http address=unix://{path}",
            f"listening: protocol=http address=127.0.0.1:{ports['http']}",
            f"listening: protocol=dns address=127.0.0.1:{ports['dns']}",
            "started",
        ):
            assert log.count(f" [INFO]  agent: {line}\n") == 1, line
        assert "agent: agent:" not in log
    assert not path.exists()


def issue(name: str, ca: tuple[Any, Any] | None = None) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca[0].subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return builder.sign(ca[1] if ca else key, hashes.SHA256()), key


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    made = {}
    ca = issue("test ca")
    for name, (certificate, key) in {"ca": ca, "server": issue("server", ca), "client": issue("client", ca)}.items():
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (tmp_path / f"{name}-key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        made[name], made[f"{name}-key"] = str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}-key.pem")
    return made


@pytest.mark.parametrize("verify", [False, True])
def test_https(certificates: dict[str, str], verify: bool) -> None:
    ports = free_ports(["http", "https", "dns", "server", "serf_lan", "serf_wan", "grpc", "grpc_tls"])
    tls = {
        "ca_file": certificates["ca"],
        "cert_file": certificates["server"],
        "key_file": certificates["server-key"],
        "verify_incoming": verify,
    }
    with AgentProcess.server({"tls": {"https": tls}}, ports=ports) as agent:
        context = ssl.create_default_context(cafile=certificates["ca"])

        def get() -> int:
            connection = http.client.HTTPSConnection("localhost", ports["https"], context=context, timeout=5)
            try:
                connection.request("GET", "/v1/status/leader")
                return connection.getresponse().status
            finally:
                connection.close()

        if verify:
            with pytest.raises((ssl.SSLError, OSError)):
                get()
            context.load_cert_chain(certificates["client"], certificates["client-key"])
        assert get() == 200
        assert agent.get("/v1/status/leader")
        untrusting = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            http.client.HTTPSConnection("localhost", ports["https"], context=untrusting, timeout=5).request("GET", "/")


def test_a_port_of_minus_one_switches_the_listener_off() -> None:
    ports = free_ports()
    with AgentProcess.server({"ports": {**ports, "dns": -1}}, ports=ports) as agent:
        with pytest.raises(OSError, match="refused"):
            import socket

            socket.create_connection(("127.0.0.1", ports["dns"]), timeout=2)
        assert agent.get("/v1/status/leader")


def test_response_headers_of_the_configuration_are_sent() -> None:
    extra = {"http_config": {"response_headers": {"Access-Control-Allow-Origin": "*", "X-Site": "a"}}}
    with AgentProcess.server(extra) as agent:
        headers = agent.http("GET", "/v1/status/leader").headers
        assert (headers["access-control-allow-origin"], headers["x-site"]) == ("*", "a")


def _blocking(agent: AgentProcess) -> bool:
    gauges = agent.get("/v1/agent/metrics")["Gauges"]
    return any(one["Name"].endswith("rpc.queries_blocking") and one["Value"] >= 1 for one in gauges)


def test_https_speaks_http_2(certificates: dict[str, str], tmp_path: Path) -> None:
    """C31: curl and Go's clients take HTTP/2 where it is offered; a blocking query is answered when the agent stops."""
    ports = free_ports(["http", "https", "dns", "server", "serf_lan", "serf_wan", "grpc", "grpc_tls"])
    tls = {"ca_file": certificates["ca"], "cert_file": certificates["server"], "key_file": certificates["server-key"]}
    url = f"https://localhost:{ports['https']}/v1"
    curl = [
        program("curl"),
        "-sS",
        "--http2",
        "--cacert",
        certificates["ca"],
        "--max-time",
        "60",
        "-w",
        " HTTP/%{http_version}",
    ]
    value = tmp_path / "value"
    value.write_bytes(b"v" * 400_000)
    with AgentProcess.server({"tls": {"https": tls}}, ports=ports) as agent:
        assert output([*curl, "-T", str(value), f"{url}/kv/large"]) == "true HTTP/2"
        assert output([*curl, f"{url}/kv/large?raw"]) == "v" * 400_000 + " HTTP/2"
        assert output([*curl, f"{url}/status/leader", f"{url}/status/peers"]).count("HTTP/2") == 2
        assert output([*curl, "--http1.1", f"{url}/kv/none"]) == " HTTP/1.1"
        index = agent.http("GET", "/v1/kv/none").headers["x-consul-index"]
        argv = [*curl, f"{url}/kv/none?index={index}&wait=300s"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as waiting:
            agent.wait("a blocking query", lambda: _blocking(agent), within_s=60)
            agent.stop()
            assert waiting.stdout is not None and waiting.stdout.read() == " HTTP/2"
