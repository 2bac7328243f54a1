"""Where commands read traffic: the answers of an agent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshagent.agent.cli import admin_client, traffic
from meshagent.agent.cli.client import Client, Endpoint
from meshagent.errors import MeshError

SIDECAR = {"Node": "n1", "Service": "api", "ProxyID": "api-proxy", "Edges": [{"source": "web"}]}
AWAY = {"Node": "n2", "ProxyID": "", "Reason": "no server can reach it"}
SILENT = {"Node": "n1", "ProxyID": "db-proxy", "Reason": "nothing listens"}


def client(stub: Any) -> Client:
    return Client(Endpoint(address=stub.address))


def test_a_look(stub: Any) -> None:
    stub.answer("connect/edges", {"Sidecars": [SIDECAR], "Missing": [AWAY, SILENT]})
    found = traffic.look(client(stub), "api", local=False)
    assert stub.last.query == {"service": "api"}
    assert found.sidecars == (traffic.Sidecar("n1", "api", "api-proxy", ({"source": "web"},)),)
    assert traffic.edges(found) == [{"source": "web"}]
    assert found.missing == ("n2: no server can reach it", "n1, db-proxy: nothing listens")


def test_nothing_found_says_where(stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer("connect/edges", {"Sidecars": [], "Missing": [AWAY]})
    found = traffic.look(client(stub), "", local=False)
    with pytest.raises(Exception, match="No sidecar answers in the datacenter"):
        traffic.require(found, "", local=False)
    with pytest.raises(Exception, match="No sidecar of api answers on this host"):
        traffic.require(found, "api", local=True)
    assert "not included: n2: no server can reach it" in capsys.readouterr().err


def test_live_lines(stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = [{"path": "/a"}, {"missing": "n2", "proxy_id": "", "reason": "away"}, {"path": "/b"}]
    stub.answer("connect/tap", b"\n".join([b"", *(json.dumps(one).encode() for one in said), b""]))
    found: list[str] = []
    with pytest.raises(MeshError, match="has ended the tap"):
        found.extend(one["path"] for one in traffic.live(client(stub), "api", {"status": "5xx"}, local=False))
    assert found == ["/a", "/b"]
    assert stub.last.query == {"service": "api", "status": "5xx"}
    assert capsys.readouterr().err == "not included: n2: away\n"


def test_a_refusal(stub: Any) -> None:
    stub.answer("connect/tap", b"no such filter", status=400)
    with pytest.raises(ValueError, match="no such filter"):
        next(traffic.live(client(stub), "", {}, local=False))


def test_this_host_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    here = [admin_client.Sidecar(tmp_path, name, f"{name}-proxy", ()) for name in ("web", "api")]
    monkeypatch.setattr(admin_client, "running", lambda: here)
    nobody = Client(Endpoint(address="127.0.0.1:1"))
    assert [one.service for one in traffic.look(nobody, "api", local=True).sidecars] == ["api"]
    with pytest.raises(Exception, match="No sidecar of db answers on this host"):
        next(traffic.live(nobody, "db", {}, local=True))
