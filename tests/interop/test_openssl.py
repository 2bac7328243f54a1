"""openssl: leafs verify against each root alone through a rotation; a handshake with them."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from meshtest.peers import output, program
from meshtest.process import AgentProcess

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)


def leaf(agent: AgentProcess, name: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = agent.get(f"/v1/agent/connect/ca/leaf/{name}")
    own, *between = _CERTIFICATE.findall(found["CertPEM"])
    (folder / f"{name}.pem").write_text(own)
    (folder / f"{name}-chain.pem").write_text(found["CertPEM"])
    (folder / f"{name}-between.pem").write_text("".join(between))
    (folder / f"{name}-key.pem").write_text(found["PrivateKeyPEM"])
    return found


def verify(folder: Path, name: str, root: str) -> str:
    (folder / "root.pem").write_text(root)
    between = folder / f"{name}-between.pem"
    more = ["-untrusted", str(between)] if between.read_text() else []
    line = [program("openssl"), "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(folder / "root.pem")]
    return output([*line, *more, str(folder / f"{name}.pem")])


def test_leafs_verify_against_each_root_alone_through_a_rotation(agent: AgentProcess, tmp_path: Path) -> None:
    agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
    (old,) = agent.get("/v1/connect/ca/roots")["Roots"]
    found = leaf(agent, "web", tmp_path)
    assert verify(tmp_path, "web", old["RootCert"]).endswith(": OK\n")
    text = output([program("openssl"), "x509", "-in", str(tmp_path / "web.pem"), "-noout", "-text"])
    assert f"URI:{found['ServiceURI']}" in text
    assert "X509v3 Subject Alternative Name: critical" in text
    assert re.search(r"Subject: *\n", text)
    config = {"Provider": "consul", "Config": {"PrivateKeyType": "ec", "PrivateKeyBits": 384}}
    assert agent.http("PUT", "/v1/connect/ca/configuration", json=config).status == 200
    roots = {root["Active"]: root for root in agent.get("/v1/connect/ca/roots")["Roots"]}
    leaf(agent, "web", tmp_path)
    assert verify(tmp_path, "web", roots[True]["RootCert"]).endswith(": OK\n")
    assert verify(tmp_path, "web", roots[False]["RootCert"]).endswith(": OK\n")


def test_openssl_speaks_mutual_tls_with_them(agent: AgentProcess, tmp_path: Path) -> None:
    agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
    (tmp_path / "roots.pem").write_text(agent.http("GET", "/v1/connect/ca/roots?pem=true").body.decode())
    for name in ("web", "api"):
        leaf(agent, name, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-Verify", "3", "-quiet"]
    line += ["-verify_return_error", "-CAfile", str(tmp_path / "roots.pem"), "-cert", str(tmp_path / "api.pem")]
    server = subprocess.Popen([*line, "-key", str(tmp_path / "api-key.pem")], stdin=subprocess.DEVNULL)
    try:
        client = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-verify_return_error", "-brief"]
        client += ["-CAfile", str(tmp_path / "roots.pem"), "-cert", str(tmp_path / "web.pem")]

        def shake() -> bool:
            ran = subprocess.run(
                [*client, "-key", str(tmp_path / "web-key.pem")], input=b"", capture_output=True, timeout=20
            )
            return b"Verification: OK" in ran.stderr

        agent.wait("a handshake", shake)
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.parametrize("what", ["server", "client"])
def test_certificates_for_agents_verify(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from meshagent.agent.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["tls", "ca", "create", "-name-constraint"]) == 0
    assert main(["tls", "cert", "create", f"-{what}"]) == 0
    line = [program("openssl"), "verify", "-x509_strict", "-purpose", f"ssl{what}", "-CAfile", "consul-agent-ca.pem"]
    assert output([*line, f"dc1-{what}-consul-0.pem"]).endswith(": OK\n")
