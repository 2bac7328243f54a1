"""`meshagent snapshot agent`: of several one works, and another takes over when it ends (CL25)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from meshtest.process import AgentProcess, meshagent_command


def holder(agent: AgentProcess) -> str:
    answer = agent.http("GET", "/v1/kv/consul-snapshot/lock")
    return str(json.loads(answer.body)[0].get("Session", "")) if answer.status == 200 else ""


def start(agent: AgentProcess, path: Path) -> subprocess.Popen[bytes]:
    path.mkdir()
    return subprocess.Popen(
        [*meshagent_command(), "snapshot", "agent", "-interval=1s", "-retain=2", "-local-path", str(path)],
        env={**os.environ, "CONSUL_HTTP_ADDR": f"127.0.0.1:{agent.ports['http']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_one_of_two_saves_and_the_other_takes_over(agent: AgentProcess, tmp_path: Path) -> None:
    first = start(agent, tmp_path / "a")
    try:
        agent.wait("the first saves", lambda: list((tmp_path / "a").glob("consul-*.snap")))
        held = holder(agent)
        assert held
        second = start(agent, tmp_path / "b")
        try:
            agent.wait("it goes on, and keeps two", lambda: len(list((tmp_path / "a").glob("consul-*.snap"))) == 2)
            assert holder(agent) == held
            assert not list((tmp_path / "b").iterdir())
            first.send_signal(signal.SIGTERM)
            assert first.wait(30) == 0
            agent.wait("the second saves", lambda: list((tmp_path / "b").glob("consul-*.snap")), within_s=60)
            assert holder(agent) not in ("", held)
            assert len(list((tmp_path / "a").glob("consul-*.snap"))) <= 2
        finally:
            second.kill()
            second.wait()
    finally:
        first.kill()
        first.wait()
