"""web -> sidecar -> sidecar -> api and db, whose protocols nobody declared: `protocol = "auto"` for all proxies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.httpapp import ask, http_app
from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, Sidecars, dial, free_port, sidecars

GREETING = b"220 ready\r\n"


class Mesh:
    """`api` is an HTTP application, `db` one that greets who connects and echoes; they are web's ways to both."""

    def __init__(self, agent: AgentProcess, running: Sidecars, app_port: int) -> None:
        self.agent, self.running = agent, running
        self.api, self.db = free_port(), free_port()
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        self.write(Kind="proxy-defaults", Name="global", Config={"protocol": "auto"})
        running.register("api", app_port, sidecar_port=free_port())
        running.register("db", Echo(GREETING).port, sidecar_port=free_port())
        running.register("web", free_port(), {"api": self.api, "db": self.db}, sidecar_port=free_port())
        for name in ("api", "db", "web"):
            running.start(name)
        agent.wait("a first answer", lambda: ask(self.api).status == 200)
        agent.wait("a first exchange", lambda: self.say(b"") == GREETING)

    def write(self, **entry: Any) -> None:
        assert self.agent.put("/v1/config", entry).status == 200

    def say(self, data: bytes) -> bytes:
        """What db says to that, up to as many bytes."""
        with dial(self.db, 30.0) as connection:
            connection.sendall(data)
            got = b""
            while len(got) < len(GREETING) + len(data) and (piece := connection.recv(65536)):
                got += piece
        return got

    def edges(self, destination: str) -> list[dict[str, Any]]:
        """What web's sidecar has counted of an upstream."""
        found = self.agent.get("/v1/connect/edges?service=web")
        assert not found["Missing"], found
        edges = [edge for one in found["Sidecars"] for edge in one["Edges"]]
        return [one for one in edges if one["direction"] == "outbound" and one["destination"] == destination]


@pytest.fixture(scope="module")
def mesh(module_agent: AgentProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder: Path = tmp_path_factory.mktemp("detected")
    with http_app("api") as app, sidecars(module_agent, folder) as running:
        yield Mesh(module_agent, running, app.port)


def test_http_is_routed_by_request(mesh: Mesh) -> None:
    found = json.loads(ask(mesh.api, "/x", "POST", b"z" * 100_000, {"X-Own": "1"}).body)
    assert (found["app"], found["path"], found["headers"]["x-own"]) == ("api", "/x", "1")
    assert len(found["headers"]["x-request-id"]) == 36, "the sidecar took it for a request"
    assert ask(mesh.api, "/status/404").status == 404
    (edge,) = mesh.edges("api")
    assert edge["route"] == "default"
    assert sum(edge["requests"]) >= 3
    assert edge["requests"][4] >= 1


@pytest.mark.parametrize(
    "data",
    [
        b"",  # the server speaks first, and the client not at all
        b"EHLO me\r\n",
        b"PING\r\n",
        b"GET",  # no more comes
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        bytes(range(256)) * 400,
    ],
    ids=["nothing", "smtp", "redis", "a beginning", "tls", "http2", "much"],
)
def test_all_else_passes_as_it_is(mesh: Mesh, data: bytes) -> None:
    assert mesh.say(data) == GREETING + data
    assert sum(sum(one["requests"]) for one in mesh.edges("db")) == 0
    assert sum(one["connections"] for one in mesh.edges("db")) >= 1


def test_a_deny_holds_for_both(mesh: Mesh) -> None:
    for name in ("api", "db"):
        mesh.running.intention("web", name, "deny")
    mesh.agent.wait("no request", lambda: ask(mesh.api).status == 503)
    with dial(mesh.db, 30.0) as connection:
        mesh.agent.wait("no connection", lambda: _ended(connection) or _ended(dial(mesh.db, 30.0)))
    for name in ("api", "db"):
        mesh.running.intention("web", name, "allow")
    mesh.agent.wait("requests", lambda: ask(mesh.api).status == 200)
    mesh.agent.wait("connections", lambda: mesh.say(b"x") == GREETING + b"x")


def _ended(connection: Any) -> bool:
    """Whether nothing comes but the end."""
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def test_a_protocol_that_is_declared_later_is_taken_up(mesh: Mesh) -> None:
    mesh.write(Kind="service-defaults", Name="api", Protocol="http")
    mesh.write(
        Kind="service-router",
        Name="api",
        Routes=[
            {"Match": {"HTTP": {"PathPrefix": "/old"}}, "Destination": {"Redirect": {"PathRedirect": "/new"}}},
        ],
    )
    mesh.agent.wait("the routes", lambda: ask(mesh.api, "/old").status == 301)
    mesh.agent.wait("api as HTTP, too", lambda: ask(mesh.api).status == 200)
