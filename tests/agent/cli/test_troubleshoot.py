"""`troubleshoot` (CL24): what is asked and tried; the findings are in tests/connect/test_diagnosis.py."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TARGET = "db.default.default.dc1"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the sidecars of this host."""
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path))


@pytest.fixture
def port() -> Iterator[int]:
    """One that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def snapshot(port: int) -> dict[str, Any]:
    chain = {"protocol": "tcp", "start": f"resolver:{TARGET}", "targets": {TARGET: {"service": "db"}}}
    upstream = {
        "name": "db", "address": "127.0.0.1", "port": port, "socket_path": "", "chain": chain, "problem": "",
    }  # fmt: skip
    return {
        "proxy_id": "web-proxy", "service": "web", "leaf_valid": ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"],
        "outbound": [upstream], "clusters": {TARGET: {"endpoints": [{"address": "127.0.0.1", "port": port}]}},
    }  # fmt: skip


def test_upstreams(cli: Any, stub: Any) -> None:
    stub.answer("agent/services", {"web": {"Kind": ""}, "web-proxy": {"Kind": "connect-proxy"}})
    stub.answer("agent/connect/proxy/web-proxy", snapshot(9191))
    assert cli("troubleshoot upstreams").out == (
        "==> Upstreams (explicit upstreams only) (1)\ndb\n==> Upstreams IPs (transparent proxy only) (0)\n"
    )


def test_which_proxy_must_be_clear(cli: Any, stub: Any) -> None:
    stub.answer("agent/services", {"a": {"Kind": "connect-proxy"}, "b": {"Kind": "connect-proxy"}})
    assert "say which with -proxy-id: a, b" in cli("troubleshoot upstreams").err
    stub.answer("agent/services", {})
    assert "no proxy is registered" in cli("troubleshoot upstreams").err
    stub.answer("agent/connect/proxy/zork", b"unknown proxy ID: zork", status=404)
    assert "unknown proxy ID" in cli("troubleshoot upstreams -proxy-id zork").err


def test_proxy_tries_and_tells(cli: Any, stub: Any, port: int) -> None:
    stub.answer("agent/connect/proxy/web-proxy", snapshot(port))
    stub.answer("agent/connect/ca/roots", {"Roots": [{"NotAfter": "2100-01-01T00:00:00Z"}]})
    stub.answer("connect/intentions/explain", {"Allowed": False, "Reason": "default deny"})
    ran = cli("troubleshoot proxy -proxy-id web-proxy -upstream-envoy-id db")
    assert ran.status == 1
    lines = ran.out.splitlines()
    assert lines[0] == "==> Validation"
    assert lines[1].startswith("✓ Certificates are valid")
    assert lines[2] == "! No sidecar of this user answers on this host"
    assert lines[3].startswith("  -> start it")
    assert f'✓ Listener for upstream "db" found at 127.0.0.1:{port}' in lines
    assert "! Intentions do not allow web to talk to db (default deny)" in lines
    assert '"Good": false' in cli("troubleshoot proxy -proxy-id web-proxy -upstream-ip 127.0.0.1 -format json").out


@pytest.mark.parametrize("flags", ["", "-upstream-ip 1.2.3.4 -upstream-envoy-id db"])
def test_proxy_needs_one_upstream(cli: Any, stub: Any, flags: str) -> None:
    ran = cli(f"troubleshoot proxy {flags}")
    assert ran.status == 1
    assert "is required" in ran.err


def test_an_unknown_upstream_is_refused(cli: Any, stub: Any) -> None:
    stub.answer("agent/connect/proxy/web-proxy", snapshot(1))
    ran = cli("troubleshoot proxy -proxy-id web-proxy -upstream-envoy-id zork")
    assert ran.err == "the proxy web-proxy has no upstream zork\n"


def test_ports(cli: Any, stub: Any, port: int) -> None:
    out = cli(f"troubleshoot ports -host 127.0.0.1 -ports {port},1").out
    assert out == (
        f"TCP: Port {port} on 127.0.0.1 is open.\n"
        "TCP: Port 1 on 127.0.0.1 is closed, unreachable, or the connection timed out.\n"
    )
    assert f"TCP: Port {port} on 127.0.0.1 is open." in cli(f"troubleshoot ports -ports {port}").out  # of the agent
    assert cli("troubleshoot ports -ports 0").status == 1
