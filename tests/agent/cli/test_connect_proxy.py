"""`connect proxy`: which registration it is, and what is refused; running it is tests/e2e/test_sidecars.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.cli.connect_proxy import _from_flags, _locked


def sidecar(name: str, destination: str) -> dict[str, Any]:
    return {"ID": name, "Kind": "connect-proxy", "Proxy": {"DestinationServiceID": destination}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("connect proxy", "-service or -proxy-id must be specified so that proxy can configure itself."),
        (
            "connect proxy -proxy-id x -log-level loud",
            "Invalid log level: loud. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]",
        ),
        ("connect proxy -proxy-id x -drain-time zz", '-drain-time: time: invalid duration "zz"'),
        ("connect proxy -node-name n -sidecar-for web", "'-node-name' requires '-proxy-id'"),
        ("connect proxy web", "Should have no non-flag arguments."),
        (
            "connect proxy -service x -listen :1",
            "-service-addr must be specified with -listen so the proxy knows the backend service address.",
        ),
        ("connect proxy -service x -register", "-register may only be specified with -service and -listen"),
        ("connect proxy -service x -upstream y", "-upstream: 'y' is not name:port or name:address:port"),
        ("connect proxy -service x -upstream y:99999", "-upstream: '127.0.0.1:99999' is not address:port"),
        ("connect proxy -service x -listen zork -service-addr :1", "-listen: 'zork' is not address:port"),
        ("connect proxy -sidecar-for web", "No sidecar proxy registered for web"),
        (
            "connect proxy -sidecar-for api",
            "More than one sidecar proxy registered for api.\n"
            "    Start proxy with -proxy-id and one of the following IDs: a, b",
        ),
    ],
)
def test_what_is_refused(cli: Any, stub: Any, line: str, message: str) -> None:
    stub.answer("agent/services", {name: sidecar(name, "api") for name in ("b", "a")})
    ran = cli(line)
    assert (ran.status, ran.err) == (1, f"{message}\n")


def test_the_environment_names_it_too(cli: Any, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer("agent/services", {})
    monkeypatch.setenv("CONNECT_SIDECAR_FOR", "db")
    assert cli("connect proxy").err == "No sidecar proxy registered for db\n"


def test_flags_describe_a_proxy() -> None:
    assert _from_flags("web", ("db:9191", "api:[::1]:80"), "127.0.0.1:20000", ":8080") == {
        "Service": "web",
        "Address": "127.0.0.1",
        "Port": 20000,
        "LocalAddress": "",
        "LocalPort": 8080,
        "Upstreams": [
            {"Name": "db", "Address": "127.0.0.1", "Port": 9191},
            {"Name": "api", "Address": "::1", "Port": 80},
        ],
    }


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    first = _locked(str(tmp_path / "lock"))
    assert first is not None
    assert int((tmp_path / "lock").read_text()) == os.getpid()
    assert _locked(str(tmp_path / "lock")) is None
    first.close()
    assert _locked(str(tmp_path / "lock")) is not None
