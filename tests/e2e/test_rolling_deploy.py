"""Under an even load through two sidecars nothing is lost: instances are replaced, the root of the authority rotates.

The pace is what a busy machine bears; `bench/run.py --row mesh_rolling_deploy` does the same at 500 requests a second.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from meshtest.httpapp import HttpApp
from meshtest.process import AgentProcess
from meshtest.rolling import Rolling
from meshtest.sidecars import Sidecars, free_port, sidecars

#: Between two requests of one of the four clients.
_PAUSE_S = 0.03


class Load:
    """Four clients, each on a kept connection (`kept`) or on a new one for each request."""

    def __init__(self, port: int, *, kept: bool) -> None:
        self.port, self.kept = port, kept
        self.done = 0
        self.lost: list[str] = []
        self._ended = threading.Event()
        self._workers = [threading.Thread(target=self._run) for _ in range(4)]
        for worker in self._workers:
            worker.start()

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._ended.wait(_PAUSE_S):
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            keep = False
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                self.done += 1
                keep = self.kept and not answer.will_close
                if answer.status != 200:
                    self.lost.append(f"status {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
            if not keep:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def end(self) -> None:
        self._ended.set()
        for worker in self._workers:
            worker.join()


class World:
    """web calls api, whose two instances can be replaced."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, protocol: str) -> None:
        self.agent = agent
        self.port = free_port()
        #: Who keeps a connection of TCP keeps its instance, too.
        self.kept = protocol == "http"
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name in ("api", "web"):
            entry = {"Kind": "service-defaults", "Name": name, "Protocol": protocol}
            assert agent.put("/v1/config", entry).status == 200
        self.rolling = Rolling(mesh, "api", "web", _application)
        for instance in ("api-1", "api-2"):
            self.rolling.begin(instance)
        mesh.register("web", free_port(), {"api": self.port}, sidecar_port=free_port())
        mesh.start("web")
        agent.wait("web to know", lambda: self.rolling.known() == {"api-1", "api-2"})

    @contextlib.contextmanager
    def load(self) -> Iterator[Load]:
        """Requests for the time of the block, of which none may be lost."""
        running = Load(self.port, kept=self.kept)
        try:
            yield running
            before = running.done
            self.agent.wait("more answers", lambda: running.done > before + 20 or running.lost)
        finally:
            running.end()
        assert running.lost == []

    def leafs(self) -> set[str]:
        """The chains that the sidecars use."""
        path = "/v1/agent/connect/proxy/{}-sidecar-proxy"
        return {self.agent.get(path.format(name))["leaf_chain"] for name in ("web", "api-1", "api-2")}


def _application() -> tuple[int, Callable[[], None]]:
    app = HttpApp("api")
    return app.port, app.close


@pytest.fixture(params=["http", "tcp"])
def world(request: pytest.FixtureRequest, agent: AgentProcess, tmp_path: Path) -> Iterator[World]:
    with sidecars(agent, tmp_path) as mesh:
        made = World(agent, mesh, request.param)
        yield made
        made.rolling.stop()


def test_a_deploy_of_every_instance_loses_no_request(world: World) -> None:
    with world.load():
        for instance in ("api-1", "api-2"):
            world.rolling.deploy(instance)
        if not world.kept:
            return  # a rotation at layer 4: test_sidecars.py
        before = world.leafs()
        body = {"Provider": "consul", "Config": {"PrivateKeyBits": 384}}
        assert world.agent.put("/v1/connect/ca/configuration", body).status == 200
        world.agent.wait("new leafs", lambda: not before & world.leafs(), within_s=60)
