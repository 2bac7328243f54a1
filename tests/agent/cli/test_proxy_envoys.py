"""`proxy envoys`."""

from __future__ import annotations

import json
from typing import Any

ROW = {
    "ProxyID": "web-sidecar-proxy", "Remote": "127.0.0.1:4", "EnvoyVersion": "1.40.0", "Since": "2026-11-27T10:00:00",
    "Authorized": True, "Acknowledged": {"Cluster": 2}, "Rejected": {}, "Unsendable": {},
}  # fmt: skip


def test_they_are_listed(cli: Any, stub: Any) -> None:
    refused = {**ROW, "ProxyID": "api", "Remote": "", "Rejected": {"Listener public": "malformed IP address: x"}}
    waits = {**ROW, "ProxyID": "new", "Authorized": False}
    stub.answer("agent/connect/envoys", [ROW, refused, waits])
    out = cli("proxy envoys").out
    assert "web-sidecar-proxy  127.0.0.1:4    1.40.0  2026-11-27T10:00:00  in sync" in out
    assert "a Unix socket" in out
    assert "1 refused" in out
    assert "waits for its registration" in out
    assert "api goes on without this Listener public: malformed IP address: x" in out
    assert json.loads(cli("proxy envoys -json").out)[0] == ROW


def test_none_is_said(cli: Any, stub: Any) -> None:
    stub.answer("agent/connect/envoys", [])
    assert cli("proxy envoys").out == "No Envoy is connected.\n"
