"""`tls ca create`, `tls cert create` (surface row CL22)."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from meshagent.connect import certs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_consuls_and_keys_are_private(cli: Any, folder: Path) -> None:
    assert cli("tls ca create").out == "==> Saved consul-agent-ca.pem\n==> Saved consul-agent-ca-key.pem\n"
    made = cli("tls cert create -server -node n1 -dc east -additional-dnsname a.example -additional-ipaddress 10.1.1.1")
    assert made.out.endswith("==> Saved east-server-consul-0.pem\n==> Saved east-server-consul-0-key.pem\n")
    assert cli("tls cert create -server -dc east").out.endswith("==> Saved east-server-consul-1-key.pem\n")
    assert "client-consul-0.pem" in cli("tls cert create -client").out
    assert "cli-consul-0.pem" in cli("tls cert create -cli").out
    for path in folder.glob("*.pem"):
        private = path.name.endswith("-key.pem")
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == (0 if private else 0o044)
    found = certs.facts((folder / "east-server-consul-0.pem").read_bytes())
    assert found.subject == "CN=server.east.consul"
    assert found.dns_names == ("server.east.consul", "n1.server.east.consul", "localhost", "a.example")
    assert certs.verify_signed_by(
        (folder / "east-server-consul-0.pem").read_bytes(), (folder / "consul-agent-ca.pem").read_bytes()
    )


def test_nothing_is_overwritten(cli: Any) -> None:
    cli("tls ca create -domain=mesh")
    again = cli("tls ca create -domain=mesh")
    assert (again.status, again.err) == (1, "mesh-agent-ca.pem already exists.\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tls cert create", "Please provide exactly one of -server, -client and -cli"),
        ("tls cert create -server -cli", "Please provide exactly one of -server, -client and -cli"),
        ("tls cert create -client -node x", "-node requires -server"),
        ("tls cert create -server -additional-ipaddress x", "-additional-ipaddress: x is no IP address"),
        ("tls cert create -server -days 0", "-days: 0 is not between 1 and 36500"),
        (
            "tls cert create -server",
            "cannot read consul-agent-ca.pem: No such file or directory; make an authority with",
        ),
        ("tls ca create -additional-name-constraint x", "-additional-name-constraint needs -name-constraint"),
    ],
)
def test_what_is_refused(cli: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert ran.status == 1
    assert ran.err.startswith(message)


def test_a_join_token_is_for_the_servers_of_the_authority(cli: Any, folder: Path) -> None:
    from meshagent.agent.auto.introductions import Introductions, claims_of_token
    from meshagent.agent.config.security import AutoConfigStatic
    from meshagent.catalog.acl.jwt_tokens import load_keys
    from meshagent.clock import SystemClock

    cli("tls ca create")
    token = cli("tls join-token -server 10.0.0.1 -server 10.0.0.2:9 -node c1 -dc east -ttl 1h").out.strip()
    told = claims_of_token(token)
    assert (told["servers"], told["datacenter"]) == (("10.0.0.1", "10.0.0.2:9"), "east")
    keys = load_keys([(folder / "consul-agent-ca.pem").read_text()])
    Introductions(AutoConfigStatic()).judge(token, "c1", keys, SystemClock().now())


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("tls join-token", "-server is needed"),
        ("tls join-token -server a -ttl soon", "-ttl"),
        ("tls join-token -server a -ttl 0s", "between"),
        ("tls join-token -server a -ca missing.pem", "cannot read"),
    ],
)
def test_a_join_token_that_cannot_be_made(cli: Any, command: str, word: str) -> None:
    cli("tls ca create")
    refused = cli(command)
    assert refused.status == 1
    assert word in refused.err
