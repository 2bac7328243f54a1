"""`connect redirect-traffic`: rules from flags and from registrations; what is refused; how nft is run."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

import pytest

from meshagent.connect.redirect import removal


def proxy(**more: Any) -> dict[str, Any]:
    return {
        "ID": "web-proxy",
        "Kind": "connect-proxy",
        "Port": 21000,
        "Proxy": {"DestinationServiceName": "web", "Mode": "transparent", **more},
    }


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that write down how they were called and what they read; the file `status` is what they end with."""
    for name in ("nft", "nsenter"):
        program = tmp_path / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" > {tmp_path}/line\ncat > {tmp_path}/script\n'
            f"[ ! -f {tmp_path}/error ] || {{ cat {tmp_path}/error >&2; exit 1; }}\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "-proxy-uid is required"),
        ("-proxy-uid 1", "either -proxy-id or -proxy-inbound-port are required"),
        (
            "-proxy-uid 1 -proxy-id a -proxy-inbound-port 2",
            "-proxy-inbound-port and -proxy-outbound-port exclude -proxy-id: the registration says them",
        ),
        ("-proxy-uid 1 -proxy-inbound-port 2 -node-name n", "-node-name needs -proxy-id"),
        ("-proxy-uid nobody-here -proxy-inbound-port 2", "-proxy-uid: there is no user 'nobody-here'"),
        ("-proxy-uid 4294967295 -proxy-inbound-port 2", "-proxy-uid: there is no user '4294967295'"),
        ("-proxy-uid 1 -proxy-inbound-port 70000", "-proxy-inbound-port: '70000' is not a port (1 to 65535)"),
        (
            "-proxy-uid 1 -proxy-inbound-port 2 -proxy-outbound-port x",
            "-proxy-outbound-port: 'x' is not a port (1 to 65535)",
        ),
        ("-proxy-uid 1 -proxy-inbound-port 2 -exclude-uid ;", "-exclude-uid: there is no user ';'"),
        (
            "-proxy-uid 1 -proxy-inbound-port 2 -exclude-inbound-port nosuch",
            "-exclude-inbound-port: 'nosuch' is not a port (1 to 65535)",
        ),
        (
            "-proxy-uid 1 -proxy-inbound-port 2 -exclude-outbound-port 9:1",
            "-exclude-outbound-port: the range '9:1' ends before it begins",
        ),
        (
            "-proxy-uid 1 -proxy-inbound-port 2 -exclude-outbound-cidr x",
            "-exclude-outbound-cidr: 'x' does not appear to be an IPv4 or IPv6 network",
        ),
        ("-proxy-uid 1 -proxy-inbound-port 2 -consul-dns-ip x", "-consul-dns-ip: 'x' is not an address"),
        (
            "-proxy-uid 1 -proxy-inbound-port 2 -consul-dns-port 0",
            "-consul-dns-port: '0' is not a port (1 to 65535)",
        ),
        ("-proxy-uid 1 -proxy-inbound-port 2 x", "Too many arguments (expected 0, got 1)"),
        (
            "-proxy-uid 1 -proxy-id gone",
            "Cannot tell what to redirect to: failed to fetch proxy service from Consul Agent: "
            "Unexpected response code: 404 (no such answer)",
        ),
        ("-proxy-uid 1 -proxy-id web", "Cannot tell what to redirect to: service web is not a proxy service"),
        (
            "-proxy-uid 1 -proxy-id odd",
            "Cannot tell what to redirect to: envoy_stats_bind_addr of the proxy's configuration is not host:port: 'x'",
        ),
        (
            "-proxy-uid 1 -proxy-id portless",
            "Cannot tell what to redirect to: the proxy has no port that others come in at: 0",
        ),
        ("-proxy-uid 1 -proxy-id p -node-name n", "Cannot tell what to redirect to: the node n has no service p"),
    ],
)  # fmt: skip
def test_what_is_refused(cli: Any, stub: Any, nft: Path, line: str, message: str) -> None:
    stub.answer("agent/service/web", {"ID": "web", "Port": 80})
    stub.answer("agent/service/odd", proxy(Config={"envoy_stats_bind_addr": "x"}))
    stub.answer("agent/service/portless", {**proxy(), "Port": 0})
    stub.answer("catalog/node-services/n", {"Node": {}, "Services": []})
    ran = cli(f"connect redirect-traffic {line}")
    assert (ran.status, ran.err) == (1, f"{message}\n")
    assert not (nft / "script").exists()


def test_flags_become_rules_for_nft(cli: Any, nft: Path) -> None:
    line = (
        f"connect redirect-traffic -proxy-uid {getpass.getuser()} -proxy-inbound-port 20000 -exclude-uid 7 "
        "-exclude-inbound-port ssh -exclude-inbound-port 8080:8090 -exclude-outbound-port 443 "
        "-exclude-outbound-cidr 10.0.0.0/8 -consul-dns-port 8600"
    )
    shown = cli(f"{line} -dry-run")
    assert shown.status == 0
    assert not (nft / "script").exists(), "nothing was changed"
    ran = cli(line)
    assert (ran.status, ran.out) == (0, "Successfully applied traffic redirection rules\n")
    script = (nft / "script").read_text()
    assert shown.out == script
    assert (nft / "line").read_text() == "nft -f -\n"
    uids = ", ".join(str(uid) for uid in sorted({7, os.getuid()}))
    for rule in (
        f"meta skuid {{ {uids} }} return",
        "tcp dport { 22, 8080-8090 } return",
        "tcp dport { 443 } return",
        "ip daddr { 10.0.0.0/8, 127.0.0.0/8 } return",
        "th dport 53 dnat ip to 127.0.0.1:8600",
        "redirect to :15001",
        "redirect to :20000",
    ):
        assert rule in script


def test_a_registration_says_ports_and_what_it_opens(cli: Any, stub: Any) -> None:
    expose = {"Checks": True, "Paths": [{"ListenerPort": 21500, "Path": "/health"}]}
    config = {"envoy_prometheus_bind_addr": "0.0.0.0:20200", "envoy_stats_bind_addr": "[::1]:20201"}
    transparent = {"OutboundListenerPort": 15005}
    stub.answer("agent/service/web-proxy", proxy(Expose=expose, Config=config, TransparentProxy=transparent))
    checks = {
        "a": {"ServiceName": "web", "ExposedPort": 21600},
        "b": {"ServiceName": "web", "ExposedPort": 0},
        "c": {"ServiceName": "other", "ExposedPort": 21601},
    }
    stub.answer("agent/checks", checks)
    script = cli("connect redirect-traffic -proxy-uid 1 -proxy-id web-proxy -exclude-inbound-port 22 -dry-run").out
    assert "tcp dport { 22, 20200-20201, 21500, 21600 } return" in script
    assert "redirect to :15005" in script
    assert "redirect to :21000" in script


def test_a_port_that_the_proxy_binds_goes_before_the_one_it_is_known_by(cli: Any, stub: Any) -> None:
    stub.answer("agent/service/web-proxy", proxy(Config={"bind_port": 20001}))
    script = cli("connect redirect-traffic -proxy-uid 1 -proxy-id web-proxy -dry-run").out
    assert "redirect to :20001" in script
    assert "redirect to :15001" in script


def test_a_registration_is_read_from_the_catalog_too(cli: Any, stub: Any) -> None:
    stub.answer("catalog/node-services/n1", {"Node": {}, "Services": [proxy(Expose={"Checks": True})]})
    ran = cli("connect redirect-traffic -proxy-uid 1 -proxy-id web-proxy -node-name n1 -dry-run")
    assert "redirect to :21000" in ran.out
    assert stub.last.query == {"merge-central-config": ""}


def test_another_namespace_is_entered_by_nsenter(cli: Any, nft: Path) -> None:
    ran = cli("connect redirect-traffic -proxy-uid 1 -proxy-inbound-port 20000 -netns /run/netns/web;x")
    assert ran.status == 0
    assert (nft / "line").read_text() == f"nsenter --net=/run/netns/web;x {nft}/nft -f -\n"


def test_rules_are_taken_away(cli: Any, nft: Path) -> None:
    assert cli("connect redirect-traffic -remove").out == "Successfully removed traffic redirection rules\n"
    assert (nft / "script").read_text() == removal()


def test_what_nft_says_is_told(cli: Any, nft: Path) -> None:
    (nft / "error").write_text("Operation not permitted (you must be root)\n")
    ran = cli("connect redirect-traffic -remove")
    assert (ran.status, ran.err) == (
        1,
        "Error setting up traffic redirection: Operation not permitted (you must be root) "
        "(it takes root, or CAP_NET_ADMIN)\n",
    )


def test_it_says_when_nft_is_not_there(cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("meshagent.agent.cli.nft._SBIN", str(tmp_path))
    ran = cli("connect redirect-traffic -remove")
    assert ran.err == "Error setting up traffic redirection: nft is not installed (package nftables)\n"
