"""web -> sidecar -> terminating gateway -> servers outside the mesh, with real processes (surface rows M28, X17)."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.process import AgentProcess
from meshtest.servers import client_of
from meshtest.sidecars import Echo, Sidecars, exchange, free_port, sidecars


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the host it was called by."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Not here."""


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that intentions cut is no news."""


class TlsEcho:
    """A server outside with a certificate of its own authority; it says who the client is."""

    def __init__(self, folder: Path, authority: Any, name: str) -> None:
        certificate, key = make_leaf(authority, name)
        (folder / "server.pem").write_bytes(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._context = context
        self.names: list[str | None] = []
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True) as tls:
            while data := tls.recv(65536):
                tls.sendall(data)


class World:
    """web, a gateway, and what is outside."""

    def __init__(self, mesh: Sidecars, folder: Path) -> None:
        self.mesh, self.agent, self.folder = mesh, mesh.agent, folder
        self.ports = {name: free_port() for name in ("legacy", "secure", "wrong", "site", "sub")}
        self.echo = Echo()
        authority = make_ca()
        (folder / "ca.pem").write_bytes(authority.pem)
        certificate, key = make_leaf(authority, "the-gateway")
        (folder / "client.pem").write_bytes(certificate)
        (folder / "client.key").write_bytes(key)
        self.tls = TlsEcho(folder, authority, "secure.example.com")
        self.web = _Quiet(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()

    def begin(self) -> None:
        agent = self.agent
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["ActiveRootID"])
        for name in ("site", "sub"):
            self._entry(Kind="service-defaults", Name=name, Protocol="http")
        self.outside("legacy", self.echo.port)
        self.outside("secure", self.tls.port)
        self.outside("wrong", self.tls.port)
        self.outside("site", self.web.server_port, address="localhost")
        self.outside("sub", self.web.server_port, meta={"version": "v2"})
        self.outside("sub", 1, node="dead", meta={"version": "v1"})
        self._entry(
            Kind="service-resolver",
            Name="sub",
            DefaultSubset="v2",
            Subsets={"v1": {"Filter": "Service.Meta.version == v1"}, "v2": {"Filter": "Service.Meta.version == v2"}},
        )
        files = {
            "CAFile": str(self.folder / "ca.pem"),
            "CertFile": str(self.folder / "client.pem"),
            "KeyFile": str(self.folder / "client.key"),
        }
        self._entry(
            Kind="terminating-gateway",
            Name="out",
            Services=[
                {"Name": "legacy"},
                {"Name": "secure", **files, "SNI": "secure.example.com"},
                {"Name": "wrong", **files, "SNI": "other.example.com"},
                {"Name": "*"},
            ],
        )
        self.mesh.gateway("terminating-gateway", "out", free_port())
        self.mesh.register("web", free_port(), self.ports, sidecar_port=free_port())
        self.mesh.start("web")

    def _entry(self, **fields: Any) -> None:
        assert self.agent.put("/v1/config", fields).body == b"true"

    def outside(
        self, name: str, port: int, *, address: str = "127.0.0.1", node: str = "outside", meta: Any = None
    ) -> None:
        service = {"ID": name, "Service": name, "Address": address, "Port": port, "Meta": meta or {}}
        row = {"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": True, "Service": service}
        assert self.agent.put("/v1/catalog/register", row).body == b"true"

    def get(self, name: str, path: str = "/") -> tuple[int, str]:
        """(status, body); (0, "") when there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, http.client.HTTPException):  # one that was on its way when the rule came
            return 0, ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("terminating")
    with AgentProcess.server({"node_name": "inside"}) as agent, sidecars(agent, folder) as mesh:
        made = World(mesh, folder)
        made.begin()
        yield made
        made.web.shutdown()


def test_bytes_reach_a_service_outside(world: World) -> None:
    world.agent.wait("an exchange", lambda: exchange(world.ports["legacy"]) == b"hello")


def test_intentions_of_the_service_outside_decide(world: World) -> None:
    world.agent.wait("an exchange", lambda: exchange(world.ports["legacy"]) == b"hello")
    accepted = world.echo.accepted
    with socket.create_connection(("127.0.0.1", world.ports["legacy"]), timeout=30) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        world.mesh.intention("web", "legacy", "deny")
        with contextlib.suppress(ConnectionError):
            assert live.recv(10) == b"", "an open connection is cut"
    assert exchange(world.ports["legacy"]) == b""
    assert world.echo.accepted == accepted + 1, "the service hears nothing of who is denied"
    world.mesh.intention("web", "legacy", "allow")
    world.agent.wait("allowed again", lambda: exchange(world.ports["legacy"]) == b"hello")


def test_tls_to_the_outside_proves_both_ends(world: World) -> None:
    world.agent.wait("an exchange", lambda: exchange(world.ports["secure"]) == b"hello")
    assert "secure.example.com" in world.tls.names
    assert exchange(world.ports["wrong"]) == b"", "the certificate is for another name"


def test_requests_call_the_host_outside(world: World) -> None:
    world.agent.wait("an answer", lambda: world.get("site", "/a") == (200, "localhost /a"))


def test_the_subset_of_the_resolver_is_reached(world: World) -> None:
    world.agent.wait("an answer", lambda: world.get("sub", "/b")[0] == 200)
    assert world.get("sub", "/b")[1].endswith(" /b")


def test_requests_are_decided_one_by_one(world: World) -> None:
    world.agent.wait("an answer", lambda: world.get("site")[0] == 200)
    permission = {"Action": "deny", "HTTP": {"PathPrefix": "/secret"}}
    sources = [{"Name": "web", "Permissions": [permission, {"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}]
    assert (
        world.agent.put("/v1/config", {"Kind": "service-intentions", "Name": "site", "Sources": sources}).status == 200
    )
    world.agent.wait("a denial", lambda: world.get("site", "/x/../secret")[0] == 403)
    assert world.get("site", "/open")[0] == 200


def test_a_client_agent_is_told_what_a_gateway_needs(world: World, tmp_path: Path) -> None:
    """Services behind it, their instances and intentions come from the servers, mesh gateways of the datacenter too."""
    with client_of([world.agent]) as client, sidecars(client, tmp_path) as mesh:
        mesh.gateway("terminating-gateway", "out-2", free_port())
        world.agent.put("/v1/config", {"Kind": "terminating-gateway", "Name": "out-2", "Services": [{"Name": "more"}]})
        world.outside("more", world.echo.port)
        port = free_port()
        mesh.register("shop", free_port(), {"more": port}, sidecar_port=free_port())
        mesh.start("shop")
        client.wait("an exchange", lambda: exchange(port) == b"hello")
        world.mesh.intention("shop", "more", "deny")
        client.wait("the denial", lambda: exchange(port) == b"")
        mesh.gateway("mesh-gateway", "way", free_port())
        client.wait(
            "the services here",
            lambda: len(client.get("/v1/agent/connect/proxy/way")["gateway"]["routes"]) >= 2,
        )
