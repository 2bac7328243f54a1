"""Client agents that have nothing but the authority of the servers, or an introduction: certificates come from them."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from meshtest import certificates
from meshtest.process import AgentProcess, free_ports, meshagent_command
from meshtest.register import register
from meshtest.servers import Servers, client_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of agents and a server's certificate, as files."""
    folder = tmp_path_factory.mktemp("auto")
    subprocess.run([*meshagent_command(), "tls", "ca", "create"], cwd=folder, check=True, capture_output=True)
    subprocess.run(
        [*meshagent_command(), "tls", "cert", "create", "-server"], cwd=folder, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Servers]:
    """Three servers that take nobody without a certificate, and hand certificates and configuration out."""
    extra = {
        "encrypt": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "tls": {
            "internal_rpc": {
                "ca_file": str(folder / "consul-agent-ca.pem"),
                "cert_file": str(folder / "dc1-server-consul-0.pem"),
                "key_file": str(folder / "dc1-server-consul-0-key.pem"),
                "verify_incoming": True,
                "verify_outgoing": True,
                "verify_server_hostname": True,
            }
        },
        "auto_encrypt": {"allow_tls": True},
        "auto_config": {"authorization": {"enabled": True}},
    }
    with Servers(extra=extra) as running:
        yield running


def encrypted_client(servers: Servers, folder: Path, name: str, **tls: Any) -> AgentProcess:
    block = {"ca_file": str(folder / "consul-agent-ca.pem"), "verify_server_hostname": True, **tls}
    client = client_of(
        servers.all,
        name,
        encrypt="MDEyMzQ1Njc4OWFiY2RlZg==",
        auto_encrypt={"tls": True, "dns_san": ["agent.example"]},
        tls={"internal_rpc": block},
    )
    assert client.config is not None
    client.ports |= free_ports(["https"])
    client.config["ports"]["https"] = client.ports["https"]
    return client


def introduced_client(name: str, **extra: Any) -> AgentProcess:
    """Nothing but an introduction; ports and addresses because this is one host."""
    agent = client_of([], name, auto_config={"enabled": True, **extra})
    assert agent.config is not None
    del agent.config["retry_join"]
    return agent


def kept(client: AgentProcess) -> dict[str, Any]:
    path = client.directory / "data" / "auto-config.json"
    if not path.exists():
        return {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return json.loads(path.read_text())


def https(client: AgentProcess, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that the HTTPS API shows; 0 while it shows none."""
    try:
        with (
            socket.create_connection(("127.0.0.1", client.ports["https"]), timeout=30) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as secure,
        ):
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"").serial_number
    except OSError:
        return 0


def serial(chain: str) -> int:
    return x509.load_pem_x509_certificate(chain.encode()).serial_number


def join_token(servers: Servers, folder: Path, *more: str) -> str:
    places = [arg for server in servers.all for arg in ("-server", f"127.0.0.1:{server.ports['server']}")]
    command = [*meshagent_command(), "tls", "join-token", *places, *more]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def answers(client: AgentProcess) -> bool:
    return [row["ID"] for row in client.get("/v1/catalog/service/web")] != []


def introduced(servers: Servers, folder: Path) -> None:
    """A client that has an introduction alone joins, answers, and starts again without it."""
    token = join_token(servers, folder, "-node", "intro1")
    with introduced_client("intro1", intro_token=token) as client:
        client.wait("the servers", lambda: len(client.get("/v1/catalog/nodes")) >= 4, within_s=60)
        members = {row["Name"]: row["Status"] for row in client.get("/v1/agent/members")}
        assert members["intro1"] == 1
        assert {"s0", "s1", "s2"} <= set(members)
        assert kept(client)["options"]["encrypt"]
        assert token not in client.log()
        client.stop()
        assert client.config is not None
        client.config["auto_config"] = {"enabled": True, "intro_token": "worn out", "server_addresses": ["127.0.0.1:9"]}
        client.config["tls"] = {"internal_rpc": {"ca_file": str(folder / "consul-agent-ca.pem")}}
        with client:
            client.wait("answers without another introduction", lambda: client.get("/v1/catalog/nodes"), within_s=60)


def test_clients_join_answer_and_renew(servers: Servers, folder: Path) -> None:
    with encrypted_client(servers, folder, "enc1") as client:
        client.wait("a certificate", lambda: kept(client), within_s=60)
        register(client, {"Name": "web", "Port": 80})
        client.wait("its service in the catalog", lambda: answers(client), within_s=60)
        first = kept(client)
        names = subprocess.run(
            ["openssl", "x509", "-noout", "-ext", "subjectAltName"],
            input=first["chain"], capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert "/agent/client/dc/dc1/id/enc1" in names
        assert "unknown.consul" not in names
        assert "DNS:agent.example" in names
        # Its HTTPS API shows it, too.
        roots = client.get("/v1/connect/ca/roots")["Roots"]
        trusting = ssl.create_default_context(cadata="".join(root["RootCert"] for root in roots))
        client.wait("HTTPS", lambda: https(client, trusting) == serial(first["chain"]), within_s=60)
        # Another root: the certificate is renewed over the connection that stands.
        config = client.get("/v1/connect/ca/configuration")
        config["Config"] |= {"PrivateKeyType": "ec", "PrivateKeyBits": 384}
        assert client.http("PUT", "/v1/connect/ca/configuration", json=config).status == 200
        introduced(servers, folder)  # meanwhile
        client.wait("another certificate", lambda: kept(client)["root_id"] != first["root_id"], within_s=90)
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        client.wait("it over HTTPS", lambda: https(client, anybody) == serial(kept(client)["chain"]), within_s=60)
        # A new connection shows the new certificate; a restart begins with what is on disk.
        client.stop()
        with client:
            client.wait("answers after a restart", lambda: answers(client), within_s=60)


def test_who_is_not_introduced_or_knows_another_authority_stays_outside(servers: Servers, folder: Path) -> None:
    token = join_token(servers, folder, "-node", "somebody")
    outside = introduced_client("other", intro_token=token)
    strange = folder / "strange.pem"
    strange.write_bytes(certificates.make_ca("strange").pem)
    wrong = encrypted_client(servers, folder, "wrong1", ca_file=str(strange))
    try:
        outside.start(ready=False)
        wrong.start(ready=False)
        outside.wait("a refusal", lambda: "the join token is for another node" in outside.log(), within_s=60)
        wrong.wait("a failed handshake", lambda: "no certificate yet" in wrong.log(), within_s=60)
        assert not kept(outside)
        assert not kept(wrong)
    finally:
        outside.stop()
        wrong.stop()
