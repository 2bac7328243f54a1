"""Who is denied never gets through, not for a moment: while a sidecar starts, its listener is replaced, its agent is
reloaded, killed, starts again with another default, or its registration goes and comes back.

Somebody dials all the time, past the caller's sidecar too; the application must hear nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port, sidecars

#: Something that both layers carry on at once.
REQUEST = b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"


class Knocking:
    """Dials without end; what of it was answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tries = 0
        self.answers: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                if answer := exchange(self.port, REQUEST):
                    self.answers.append(answer)
            self.tries += 1
            time.sleep(0.002)

    def more(self, agent: AgentProcess) -> None:
        """Return when it has been refused a few times more."""
        wanted = self.tries + 5
        agent.wait("more tries", lambda: self.tries >= wanted)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[tuple[AgentProcess, Sidecars]]:
    with AgentProcess.server({"default_intention_policy": "allow"}) as agent, sidecars(agent, tmp_path) as running:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        yield agent, running


def test_it_never_opens(mesh: tuple[AgentProcess, Sidecars]) -> None:
    agent, running = mesh
    api, port = Echo(), free_port()
    agent.put("/v1/config", {"Kind": "service-intentions", "Name": "*", "Sources": [{"Name": "*", "Action": "deny"}]})
    running.register("web", free_port(), {"api": port})
    running.start("web")
    knocking = Knocking(port)
    try:
        running.register("api", api.port)
        running.start("api")
        knocking.more(agent)
        for protocol in ("http", "tcp"):  # the listener is replaced
            agent.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": protocol})
            agent.wait("another listener", lambda want=protocol: _protocol(agent) == want)
            knocking.more(agent)
        agent.put("/v1/agent/reload")
        knocking.more(agent)
        agent.kill()
        agent.start()  # it has to read its log before it knows who is denied
        agent.wait("the sidecar asks again", lambda: _protocol(agent) == "tcp")
        knocking.more(agent)
        running.processes["api"].kill()
        running.processes["api"].wait()
        running.start("api")
        knocking.more(agent)
        public = agent.get("/v1/agent/service/api-sidecar-proxy")["Port"]
        agent.put("/v1/agent/service/deregister/api")
        agent.wait("the listener goes", lambda: _refused(public))
        running.register("api", api.port)
        knocking.more(agent)
    finally:
        knocking.end()
    assert api.accepted == 0
    assert all(answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 503")) for answer in knocking.answers)
    agent.put("/v1/config", {"Kind": "service-intentions", "Name": "*", "Sources": [{"Name": "*", "Action": "allow"}]})
    agent.wait("it was about the intention", lambda: exchange(port) == b"hello")


def _protocol(agent: AgentProcess) -> str:
    found: str = agent.get("/v1/agent/connect/proxy/api-sidecar-proxy")["inbound"]["protocol"]
    return found


def _refused(port: int) -> bool:
    try:
        dial(port).close()
    except ConnectionRefusedError:
        return True
    return False
