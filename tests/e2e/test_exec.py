"""`meshagent exec` (CL10) against agents that allow it and one that does not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from meshtest.process import AgentProcess, meshagent_command

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(agent: AgentProcess) -> Run:
    def run(*args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "CONSUL_HTTP_ADDR": f"127.0.0.1:{agent.ports['http']}"}
        command = [*meshagent_command(), "exec", "-wait=2s", "-wait-repl=0s", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=env, input=stdin)

    return run


@pytest.fixture
def willing() -> Iterator[AgentProcess]:
    with AgentProcess.server({"disable_remote_exec": False}) as agent:
        yield agent


def test_a_command_is_run_and_its_output_shown(willing: AgentProcess) -> None:
    run = runner(willing)
    done = run("-verbose", "echo one; echo two >&2; echo $0")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Uploaded remote execution spec"
    assert lines[1].startswith("Fired remote execution event: ")
    assert lines[2:5] == ["    n1: one", "    n1: two", "    n1: /bin/sh"]
    assert lines[5:] == ["==> n1: finished with exit code 0", "1 / 1 node(s) completed / acknowledged"]
    assert willing.http("GET", "/v1/kv/_rexec?keys").status == 404
    assert willing.get("/v1/event/list") == []

    failed = run("-shell=false", "/bin/sh", "-c", "exit 3")
    assert failed.returncode == 2
    assert "==> n1: finished with exit code 3\n" in failed.stdout
    assert "cannot run /no/such" in run("-shell=false", "/no/such").stdout
    script = run("-", stdin="#!/bin/sh\nhead -c 2000000 /dev/zero | tr '\\0' x; echo; echo end\n")
    assert "(more output is not shown)" in script.stdout
    assert "    n1: end" not in script.stdout.splitlines()
    assert script.returncode == 0


def test_who_is_not_meant_does_nothing(willing: AgentProcess) -> None:
    done = runner(willing)("-node=^other$", "echo one")
    assert (done.returncode, done.stdout) == (0, "0 / 0 node(s) completed / acknowledged\n")


def test_an_agent_runs_nothing_unless_it_is_told_to(agent: AgentProcess) -> None:
    done = runner(agent)("echo one")
    assert done.stdout == "0 / 0 node(s) completed / acknowledged\n"
    assert "disable_remote_exec is set" in agent.log()


def test_misuse_is_explained(agent: AgentProcess) -> None:
    run = runner(agent)
    assert run("-tag=x", "true").stderr == "Cannot provide tag filter without service filter.\n"
    assert run(stdin="").stderr == "Must specify a command to execute\n"
