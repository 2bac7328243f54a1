"""`proxy config`."""

from __future__ import annotations

import json
from typing import Any

FOUND = {
    "proxy_id": "web-sidecar-proxy", "service": "web", "datacenter": "dc1", "trust_domain": "td.consul",
    "default_allow": False, "default_reason": "r", "roots": ["a"], "leaf_chain": "-----BEGIN CERTIFICATE-----",
    "leaf_key": "hidden",
    "inbound": {
        "address": "0.0.0.0", "port": 21000, "local_address": "127.0.0.1", "local_port": 80, "local_socket": "",
        "protocol": "http",
    },
    "outbound": [
        {"name": "db", "address": "127.0.0.1", "port": 9191, "socket_path": "", "problem": "",
         "chain": {"start": "resolver:db", "protocol": "tcp"}},
        {"name": "q", "address": "", "port": 0, "socket_path": "/run/q", "problem": "not built", "chain": None},
    ],
    "clusters": {
        "db": {
            "endpoints": [
                {"node": "n", "id": "i", "address": "10.0.0.1", "port": 1, "status": "passing", "weight": 1}
            ]
        },
        "empty": {"endpoints": []},
    },
    "intentions": [{"source": "a", "destination": "web", "permissions": [], "action": "deny"}],
}  # fmt: skip


def test_it_is_shown_for_people(cli: Any, stub: Any) -> None:
    stub.answer("agent/connect/proxy/web-sidecar-proxy", FOUND)
    out = cli("proxy config web-sidecar-proxy").out
    assert "0.0.0.0:21000" in out
    assert "127.0.0.1:9191  db (resolver:db)" in out
    assert "/run/q" in out
    assert "n/i       10.0.0.1:1" in out
    assert "default: deny (r)" in out
    assert "a leaf with a chain of 1" in out


def test_a_transparent_one_shows_what_virtual_addresses_lead_to(cli: Any, stub: Any) -> None:
    virtual = {**FOUND["outbound"][0], "port": 0, "virtual_ips": ["240.0.0.7", "10.96.0.1"]}  # type: ignore[index]
    listed = {**FOUND["outbound"][0], "virtual_ips": ["240.0.0.8"]}  # type: ignore[index]
    found = {**FOUND, "outbound": [virtual, listed], "transparent": {"port": 15001, "mesh_only": False}}
    stub.answer("agent/connect/proxy/web-sidecar-proxy", found)
    out = cli("proxy config web-sidecar-proxy").out
    assert "240.0.0.7, 10.96.0.1 " in out
    assert "127.0.0.1:9191, 240.0.0.8  db (resolver:db)" in out
    assert "127.0.0.1:15001            virtual addresses, all else directly  redirected" in out


def test_what_needs_no_certificate_is_said(cli: Any, stub: Any) -> None:
    exposed = {
        "address": "0.0.0.0", "port": 21500, "path": "/health", "local_address": "127.0.0.1", "local_port": 80,
        "local_socket": "", "protocol": "http", "sources": [],
    }  # fmt: skip
    stub.answer("agent/connect/proxy/web-sidecar-proxy", {**FOUND, "exposed": [exposed], "mesh": {"permissive": True}})
    out = cli("proxy config web-sidecar-proxy").out
    assert "Mutual TLS is permissive: connections without TLS reach the application" in out
    assert "0.0.0.0:21500   /health of 80, without TLS" in out
    stub.answer("agent/connect/proxy/web-sidecar-proxy", {**FOUND, "mesh": {"permissive": False}})
    assert "permissive" not in cli("proxy config web-sidecar-proxy").out


def test_and_for_tools(cli: Any, stub: Any) -> None:
    stub.answer("agent/connect/proxy/web-sidecar-proxy", FOUND)
    assert json.loads(cli("proxy config -json web-sidecar-proxy").out) == FOUND


def test_an_unknown_proxy_is_an_error(cli: Any, stub: Any) -> None:
    stub.answer("agent/connect/proxy/x", b"unknown proxy ID: x", status=404)
    ran = cli("proxy config x")
    assert (ran.status, ran.err) == (1, "Error: Unexpected response code: 404 (unknown proxy ID: x)\n")
