"""Sidecars of several hosts, seen from any of them: top, tap, suggestions. web's runs beside a server, api's beside a
client agent."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from meshtest.httpapp import ask, http_app
from meshtest.process import AgentProcess, meshagent_command
from meshtest.servers import client_of
from meshtest.sidecars import Sidecars, free_port, sidecars


class Hosts:
    """`server` with web, `client` with api; `port` is web's way to api."""

    def __init__(self, server: Sidecars, client: Sidecars) -> None:
        self.server, self.client = server, client
        self.port = free_port()

    def run(self, at: Sidecars, *words: str) -> subprocess.CompletedProcess[str]:
        line = [*meshagent_command(), *words]
        return subprocess.run(line, env=at.environ, capture_output=True, text=True, timeout=110, check=False)

    @contextmanager
    def load(self, path: str) -> Iterator[None]:
        ended = threading.Event()

        def requests() -> None:
            while not ended.wait(0.02):
                ask(self.port, path)

        worker = threading.Thread(target=requests)
        worker.start()
        try:
            yield
        finally:
            ended.set()
            worker.join()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder: Path = tmp_path_factory.mktemp("hosts")
    with (
        http_app("api") as app,
        AgentProcess.server() as server,
        client_of([server], "c1", leave_on_terminate=False) as client,
        sidecars(server, folder) as near,
        sidecars(client, folder) as far,
    ):
        found = Hosts(near, far)
        server.wait("CA roots", lambda: server.get("/v1/connect/ca/roots")["Roots"])
        assert server.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}).status == 200
        far.register("api", app.port, sidecar_port=free_port())
        far.register("idle", free_port())  # its sidecar does not run
        near.register("web", free_port(), {"api": found.port}, sidecar_port=free_port())
        far.start("api")
        near.start("web")
        server.wait("a first answer", lambda: ask(found.port).status == 200)
        yield found


@pytest.mark.parametrize("name", ["server", "client"])
def test_top_shows_the_edges_of_all_hosts(hosts: Hosts, name: str) -> None:
    at: Sidecars = getattr(hosts, name)

    def both_sides_are_busy() -> subprocess.CompletedProcess[str] | None:
        ran = hosts.run(at, "top", "-once", "-json", "-interval", "500ms")
        assert ran.returncode == 0, ran.stderr
        rows = {(row["direction"], row["source"], row["destination"]): row for row in json.loads(ran.stdout)}
        rates = [rows[side, "web", "api"]["requests_per_s"] for side in ("inbound", "outbound")]
        return ran if all(rates) else None

    with hosts.load("/busy"):
        ran = at.agent.wait("requests on both sides", both_sides_are_busy)
    assert "not included: c1, idle-sidecar-proxy: nothing listens at" in ran.stderr
    local = hosts.run(at, "top", "-once", "-json", "-local", "-interval", "10ms")
    assert {row["direction"] for row in json.loads(local.stdout)} == {"inbound" if at is hosts.client else "outbound"}


@pytest.mark.parametrize("name", ["server", "client"])
def test_tap_shows_requests_where_they_are_served(hosts: Hosts, name: str) -> None:
    with hosts.load("/tapped"):
        ran = hosts.run(getattr(hosts, name), "tap", "-json", "-path", "/tapped", "-max", "2", "api")
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {(one["node"], one["direction"], one["source"], one["path"]) for one in found} == {
        ("c1", "inbound", "web", "/tapped")
    }


def test_tap_refuses_what_it_cannot_read(hosts: Hosts) -> None:
    ran = hosts.run(hosts.client, "tap", "-status", "many", "api")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "'many' is none of 404, 5xx, >=500, error" in ran.stderr


def test_the_least_is_suggested_for_all_hosts(hosts: Hosts) -> None:
    ran = hosts.run(hosts.server, "intention", "suggest", "-deny-others")
    assert ran.returncode == 0, ran.stderr
    (entry,) = json.loads(ran.stdout)
    assert (entry["Name"], [(one["Name"], one["Action"]) for one in entry["Sources"]]) == (
        "api",
        [("web", "allow"), ("*", "deny")],
    )
    assert "not included: c1, idle-sidecar-proxy" in ran.stderr
