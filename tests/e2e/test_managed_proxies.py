"""`connect { builtin_proxy = "managed" }`: one process with all sidecars; the start gate; flags; a rolling deploy."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshtest.process import AgentProcess, meshagent_command
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port, sidecars


def lock_pid(agent: AgentProcess) -> int:
    """The pid of the process that runs the sidecars; 0 while there is none."""
    try:
        return int((agent.directory / "data" / "proxies" / "lock").read_text() or 0)
    except (OSError, ValueError):
        return 0


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[tuple[AgentProcess, Sidecars]]:
    with AgentProcess.server({"connect": {"builtin_proxy": "managed"}}) as agent:
        pid = 0
        try:
            agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
            yield agent, Sidecars(agent, tmp_path)
        finally:
            pid = lock_pid(agent)
            agent.stop()  # so that nobody starts it again
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)


def wait_for(agent: AgentProcess, service: str) -> subprocess.CompletedProcess[str]:
    line = [*meshagent_command(), "connect", "wait", "-http-addr", agent.url, "-timeout=60s", service]
    return subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)


def test_one_process_runs_all_sidecars(managed: tuple[AgentProcess, Sidecars]) -> None:
    agent, mesh = managed
    api, port, later = Echo(), free_port(), free_port()
    mesh.register("api", api.port, sidecar_port=free_port())
    mesh.register("web", free_port(), {"api": port}, sidecar_port=free_port())
    waited = wait_for(agent, "web")
    assert waited.returncode == 0, waited.stderr
    agent.wait("a first exchange", lambda: exchange(port) == b"hello", within_s=60)
    pid = lock_pid(agent)
    assert pid

    with dial(port, 60.0) as live:  # the agent is restarted: nobody notices
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        agent.stop()
        assert exchange(port) == b"hello"
        agent.start()
        mesh.register("web", free_port(), {"api": later}, sidecar_port=free_port())
        agent.wait("the new upstream", lambda: exchange(later) == b"hello", within_s=60)
        live.sendall(b"still")
        assert live.recv(5) == b"still"
        assert lock_pid(agent) == pid

    os.kill(pid, signal.SIGKILL)
    agent.wait("another process", lambda: lock_pid(agent) not in (0, pid), within_s=60)
    agent.wait("an exchange through it", lambda: exchange(later) == b"hello", within_s=60)

    assert agent.http("PUT", "/v1/agent/service/deregister/web").status == 200
    agent.wait("no listener", lambda: exchange(later) == b"", within_s=60)


def test_a_sidecar_by_flags_registers_itself(agent: AgentProcess, tmp_path: Path) -> None:
    agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
    api, port, public = Echo(), free_port(), free_port()
    log = tmp_path / "api.log"
    line = [*meshagent_command(), "connect", "proxy", "-http-addr", agent.url, "-service", "api", "-register"]
    line += ["-listen", f"127.0.0.1:{public}", "-service-addr", f"127.0.0.1:{api.port}"]
    with log.open("wb") as out, sidecars(agent, tmp_path) as mesh:
        api_proxy = subprocess.Popen(line, stdout=out, stderr=subprocess.STDOUT)
        mesh.processes["api-by-flags"] = api_proxy
        agent.wait(
            "the registration",
            lambda: [one["Service"]["ID"] for one in agent.get("/v1/health/connect/api?passing")] == ["api-proxy"],
            within_s=60,
        )
        line = [*meshagent_command(), "connect", "proxy", "-http-addr", agent.url, "-service", "web"]
        line += ["-upstream", f"api:{port}"]
        mesh.processes["web-by-flags"] = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        agent.wait("a first exchange", lambda: exchange(port) == b"hello", within_s=60)
        mesh.intention("web", "api", "deny")
        agent.wait("the deny", lambda: exchange(port) == b"", within_s=60)
        api_proxy.send_signal(signal.SIGTERM)
        assert api_proxy.wait(30) == 0
        assert "api-proxy" not in agent.get("/v1/agent/services")
    assert "Configuration mode: Flags" in log.read_text()


def test_a_rolling_deploy_loses_no_request(agent: AgentProcess, tmp_path: Path) -> None:
    """Deregister, let watchers hear of it, drain, stop: each instance in turn, under load."""
    with sidecars(agent, tmp_path) as mesh:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        port = free_port()
        backends = {name: Echo() for name in ("api-1", "api-2")}
        for name, echo in backends.items():
            mesh.register("api", echo.port, ID=name, sidecar_port=free_port())
        mesh.register("web", free_port(), {"api": port}, sidecar_port=free_port())
        for name in ("api-1", "api-2", "web"):
            mesh.start(name)
        agent.wait("a first exchange", lambda: exchange(port) == b"hello", within_s=60)
        ended, lost, done = threading.Event(), [], [0]

        def load() -> None:
            while not ended.is_set():
                done[0] += 1
                try:
                    with dial(port, 60.0) as connection:
                        connection.sendall(b"request")
                        connection.shutdown(socket.SHUT_WR)
                        got = b""
                        while chunk := connection.recv(100):
                            got += chunk
                        if got != b"requestBYE":
                            lost.append(got)
                except OSError as error:
                    lost.append(error)

        workers = [threading.Thread(target=load) for _ in range(4)]
        for worker in workers:
            worker.start()
        try:
            for name in ("api-1", "api-2"):
                assert agent.http("PUT", f"/v1/agent/service/deregister/{name}").status == 200
                agent.wait(
                    "watchers have heard",
                    lambda gone=name: (
                        f"{gone}-sidecar-proxy"
                        not in str(agent.get("/v1/agent/connect/proxy/web-sidecar-proxy")["clusters"])
                    ),
                    within_s=60,
                )
                process = mesh.processes.pop(name)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
                mesh.register("api", backends[name].port, ID=name, sidecar_port=free_port(), status="critical")
                mesh.start(name)
                mesh.passing(name)
                before = backends[name].accepted
                agent.wait("requests at the new one", lambda at=name, n=before: backends[at].accepted > n, within_s=60)
        finally:
            ended.set()
            for worker in workers:
                worker.join()
        assert lost == []
        assert done[0] > 50
