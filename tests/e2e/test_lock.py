"""`meshagent lock`, `watch` and configured watches against a running agent (CL9, CL10, G40, G41)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from meshtest.process import AgentProcess, free_ports, meshagent_command

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(agent: AgentProcess) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        env = {**os.environ, "CONSUL_HTTP_ADDR": f"127.0.0.1:{agent.ports['http']}", "SHELL": "/bin/sh"}
        process = subprocess.Popen(
            [*meshagent_command(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def holder(agent: AgentProcess, prefix: str) -> str:
    answer = agent.http("GET", f"/v1/kv/{prefix}/.lock")
    return json.loads(answer.body)[0].get("Session", "") if answer.status == 200 else ""


def test_one_runs_at_a_time_and_nothing_is_left(start: Start, agent: AgentProcess, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    first = start("lock", "-verbose", "jobs", f"echo $CONSUL_LOCK_HELD; read x < {gate}")
    agent.wait("the first holds it", lambda: holder(agent, "jobs"))
    second = start("lock", "-try=300ms", "jobs", "echo never")
    out, err = second.communicate(timeout=20)
    assert (second.returncode, out) == (1, "")
    assert err == "Shutdown triggered or timeout during lock acquisition\n"
    gate.write_text("go\n")
    out, err = first.communicate(timeout=20)
    assert (first.returncode, err) == (0, "")
    assert out.splitlines() == ["Attempting lock acquisition", "Starting handler", "true"]
    assert agent.http("GET", "/v1/kv/jobs/.lock").status == 404
    assert agent.get("/v1/session/list") == []


def test_a_lost_lock_ends_the_child(start: Start, agent: AgentProcess) -> None:
    process = start("lock", "-child-exit-code", "jobs", "exec sleep 600")
    session = agent.wait("it is held", lambda: holder(agent, "jobs"))
    agent.http("PUT", f"/v1/session/destroy/{session}")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith("Lock lost, killing child\n")
    assert "Lock release failed: Lock not held" in err


def test_the_childs_failure_is_told_when_asked_for(start: Start) -> None:
    plain, told = start("lock", "a", "exit 5"), start("lock", "-n", "2", "-child-exit-code", "b", "exit 5")
    assert (plain.communicate(timeout=20)[1], plain.returncode) == ("Error running handler: exit status 5\n", 0)
    assert (told.communicate(timeout=20)[1], told.returncode) == ("Error running handler: exit status 5\n", 2)


def test_a_signal_goes_to_the_child_and_the_lock_is_given_back(start: Start, agent: AgentProcess) -> None:
    process = start("lock", "jobs", "exec sleep 600")
    agent.wait("it is held", lambda: holder(agent, "jobs"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert agent.http("GET", "/v1/kv/jobs/.lock").status == 404


def test_watch_runs_its_child_at_every_change(start: Start, agent: AgentProcess, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("watch", "-type=key", "-key=a", f"cat >> {out}")
    agent.wait("the first answer", lambda: out.exists() and out.read_text() == "null\n")
    agent.http("PUT", "/v1/kv/a", body=b"one")
    agent.wait("the change", lambda: "b25l" in out.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_watches_of_the_configuration_run_and_a_reload_replaces_them(tmp_path: Path) -> None:
    out, other, directory = tmp_path / "out", tmp_path / "other", tmp_path / "conf"
    directory.mkdir()
    file = directory / "watch.json"

    def watching(target: Path) -> None:
        file.write_text(
            json.dumps({"watches": [{"type": "key", "key": "a", "args": ["/bin/sh", "-c", f"cat >> {target}"]}]})
        )

    watching(out)
    ports = free_ports()
    config = {"server": True, "bootstrap_expect": 1, "bind_addr": "127.0.0.1", "ports": ports}
    (directory / "agent.json").write_text(json.dumps({**config, "data_dir": str(tmp_path / "data")}))
    with AgentProcess(args=["agent", "-config-dir", str(directory)], ports=ports, directory=tmp_path) as agent:
        agent.wait("the first answer", lambda: out.exists() and out.read_text() == "null\n")
        agent.http("PUT", "/v1/kv/a", body=b"one")
        agent.wait("the change", lambda: "b25l" in out.read_text())
        watching(other)
        assert agent.http("PUT", "/v1/agent/reload").status == 200
        agent.wait("the new watch", lambda: other.exists() and "b25l" in other.read_text())
        before = out.read_text()
        agent.http("PUT", "/v1/kv/a", body=b"two")
        agent.wait("its change", lambda: "dHdv" in other.read_text())
        assert out.read_text() == before
