"""What entries and registrations ask of a sidecar beyond mutual TLS: permissive mode, exposed paths and checks, PROXY
headers, idle connections.

One agent with one process for all sidecars. Surface rows K21, M8, M29, X10, X11.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from meshtest.httpapp import HttpApp, ask, http_app
from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port


class Mesh:
    """db (bytes) and api (HTTP), and web that calls both."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, app: HttpApp) -> None:
        self.agent = agent
        self.mesh = mesh
        self.db = Echo()
        self.app = app
        self.db_port, self.api_port = free_port(), free_port()
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        self.write(Kind="service-defaults", Name="api", Protocol="http")
        mesh.register("db", self.db.port, sidecar_port=free_port())
        mesh.register("api", app.port, sidecar_port=free_port())
        mesh.register("web", free_port(), {"db": self.db_port, "api": self.api_port}, sidecar_port=free_port())
        agent.wait("a first exchange", lambda: exchange(self.db_port) == b"hello", within_s=60)
        agent.wait("a first answer", lambda: status(self.api_port) == 200, within_s=60)

    def write(self, **entry: Any) -> None:
        assert self.agent.put("/v1/config", entry).status == 200

    def public_port(self, service: str) -> int:
        found: int = self.agent.get(f"/v1/agent/service/{service}-sidecar-proxy")["Port"]
        return found


def status(port: int, path: str = "/") -> int:
    """Of an answer; 0 when there is none."""
    try:
        return ask(port, path).status
    except (OSError, HTTPException):
        return 0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with (
        http_app("api") as app,
        AgentProcess.server({"connect": {"builtin_proxy": "managed"}}) as agent,
    ):
        try:
            yield Mesh(agent, Sidecars(agent, tmp_path_factory.mktemp("options")), app)
        finally:
            lock = agent.directory / "data" / "proxies" / "lock"
            pid = int(lock.read_text() or 0) if lock.exists() else 0
            agent.stop()  # so that nobody starts it again
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)


def test_permissive_lets_plain_clients_in_until_it_is_taken_back(mesh: Mesh, tmp_path: Path) -> None:
    agent, port, http_port = mesh.agent, mesh.public_port("db"), mesh.public_port("api")
    log = tmp_path / "access.log"
    assert exchange(port) == b""
    mesh.write(Kind="mesh", AllowEnablingPermissiveMutualTLS=True)
    logs = {"Enabled": True, "Type": "file", "Path": str(log)}
    mesh.write(Kind="proxy-defaults", Name="global", MutualTLSMode="permissive", AccessLogs=logs)
    agent.wait("a plain exchange", lambda: exchange(port) == b"hello", within_s=60)
    agent.wait("a plain request", lambda: status(http_port) == 200, within_s=60)
    assert exchange(mesh.db_port) == b"hello", "mutual TLS goes on"
    assert ask(mesh.api_port, "/").status == 200
    agent.wait("a line of the access log", lambda: log.exists() and "tls=none" in log.read_text(), within_s=60)

    mesh.db.name = b"220 ready\r\n"
    with dial(port, 60.0) as client:  # waits for the application to speak first
        assert client.recv(64) == b"220 ready\r\n"
        mesh.db.name = b""
        mesh.write(Kind="mesh", AllowEnablingPermissiveMutualTLS=False)
        try:
            assert client.recv(64) == b"", "who is in is cut"
        except ConnectionError:
            pass
    accepted = mesh.db.accepted
    assert exchange(port) == b""
    assert mesh.db.accepted == accepted
    assert exchange(mesh.db_port) == b"hello"
    mesh.write(Kind="proxy-defaults", Name="global")


def test_exposed_paths_and_checks_need_no_certificate(mesh: Mesh) -> None:
    agent, app = mesh.agent, mesh.app
    port = free_port()
    expose = {"Checks": True, "Paths": [{"Path": "/metrics", "LocalPathPort": app.port, "ListenerPort": port}]}
    check = {"CheckID": "api-health", "HTTP": f"http://127.0.0.1:{app.port}/health", "Interval": "1s"}
    mesh.mesh.register("api", app.port, sidecar_port=mesh.public_port("api"), proxy={"Expose": expose}, Checks=[check])
    agent.wait("the exposed path", lambda: status(port, "/metrics") == 200, within_s=60)
    assert ask(port, "/other").status == 404
    assert ask(port, "/metrics/../other").status == 404
    answer = ask(port, "/metrics?x=1", headers={"x-forwarded-client-cert": "URI=spiffe://forged"})
    assert json.loads(answer.body)["path"] == "/metrics?x=1"
    assert "forged" not in answer.body.decode()

    exposed = agent.get("/v1/agent/checks")["api-health"]["ExposedPort"]
    assert 21500 <= exposed <= 21755
    agent.wait(
        "a check that passes through the sidecar",
        lambda: agent.get("/v1/agent/checks")["api-health"]["Status"] == "passing",
        within_s=60,
    )
    assert ask(exposed, "/health").status == 200
    assert f"http://127.0.0.1:{exposed}/health" in agent.get("/v1/agent/checks")["api-health"]["Output"]
    mesh.mesh.register("api", app.port, sidecar_port=mesh.public_port("api"))
    agent.wait("no listener", lambda: status(port, "/metrics") == 0, within_s=60)


def test_proxy_headers_and_idle_connections(mesh: Mesh) -> None:
    """The application is told who dialled; who stands before an upstream's listener says whom it is for."""
    agent, db, port = mesh.agent, mesh.db, free_port()
    config: dict[str, Any] = {"local_proxy_protocol": "v1"}
    mesh.mesh.register("db", db.port, sidecar_port=mesh.public_port("db"), proxy={"Config": config})
    accepting = {"accept_proxy_protocol": True}
    upstreams = [
        {"DestinationName": "db", "LocalBindPort": mesh.db_port},
        {"DestinationName": "api", "LocalBindPort": mesh.api_port, "Config": accepting},
        {"DestinationName": "db", "LocalBindPort": port, "Config": accepting},
    ]
    proxy = {"Upstreams": upstreams}
    mesh.mesh.register("web", free_port(), sidecar_port=mesh.public_port("web"), proxy=proxy)
    header = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n"

    def through(at: int, said: bytes) -> bytes:
        """What comes back until the end."""
        try:
            with dial(at, 30.0) as connection:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            return b""

    agent.wait("a header at the application", lambda: through(mesh.db_port, b"x")[:6] == b"PROXY ", within_s=60)
    line, _, rest = through(mesh.db_port, b"hello").partition(b"\r\n")
    words = line.split()
    assert words[:2] == [b"PROXY", b"TCP4"]
    assert int(words[5]) == mesh.public_port("db")
    assert rest == b"helloBYE"

    agent.wait("the new listener", lambda: through(port, header + b"hi").endswith(b"hiBYE"), within_s=60)
    assert through(port, b"no header") == b""
    request = b"GET /told HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"
    assert b'"path": "/told"' in through(mesh.api_port, header + request)
    assert through(mesh.api_port, request) == b""

    with dial(mesh.db_port, 60.0) as idle:
        assert idle.recv(6) == b"PROXY "
        config["local_idle_timeout_ms"] = 300
        mesh.mesh.register("db", db.port, sidecar_port=mesh.public_port("db"), proxy={"Config": config})
        try:
            while idle.recv(65536):
                pass  # the end comes without being asked for
        except ConnectionError:
            pass
    config.clear()
    mesh.mesh.register("db", db.port, sidecar_port=mesh.public_port("db"), proxy={"Config": config})
