"""The command line against a running agent: output, exit codes, environment, formats (CL1-CL9)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from meshtest.process import AgentProcess, meshagent_command

Run = subprocess.CompletedProcess[str]


@pytest.fixture
def cli(agent: AgentProcess):  # type: ignore[no-untyped-def]
    def run(*args: str, code: int = 0, stdin: str | None = None) -> Run:
        env = {**os.environ, "CONSUL_HTTP_ADDR": f"127.0.0.1:{agent.ports['http']}"}
        done = subprocess.run(
            [*meshagent_command(), *args], capture_output=True, text=True, timeout=20, check=False, env=env, input=stdin
        )
        assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


def test_kv(cli, agent: AgentProcess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert cli("kv", "put", "a/b", "c").stdout == "Success! Data written to: a/b\n"
    assert cli("kv", "get", "a/b").stdout == "c\n"
    assert "a/b" in cli("kv", "get", "-detailed", "a/b").stdout
    assert cli("kv", "get", "none", code=1).stderr.strip() == "Error! No key exists at: none"
    cli("kv", "put", "-flags", "42", "a/c", "-", stdin="from stdin")
    (tmp_path / "value").write_text("from file")
    cli("kv", "put", "a/d", f"@{tmp_path / 'value'}")
    assert cli("kv", "get", "-recurse", "a/").stdout == "a/b:c\na/c:from stdin\na/d:from file\n"
    assert cli("kv", "get", "-keys", "a/").stdout == "a/b\na/c\na/d\n"
    exported = cli("kv", "export", "a/").stdout
    assert [row["key"] for row in json.loads(exported)] == ["a/b", "a/c", "a/d"]
    assert cli("kv", "delete", "-recurse", "a/").stdout == "Success! Deleted keys with prefix: a/\n"
    cli("kv", "import", "-", stdin=exported)
    assert agent.http("GET", "/v1/kv/a/c?raw").body == b"from stdin"
    assert cli("kv", "put", "-cas", "-modify-index", "1", "a/b", "x", code=1).stderr.startswith("Error!")


def test_services_and_catalog(cli, agent: AgentProcess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    definition = tmp_path / "web.hcl"
    definition.write_text('service {\n  name = "web"\n  id = "w1"\n  port = 80\n  tags = ["v1"]\n}\n')
    assert cli("services", "register", str(definition)).stdout == "Registered service: web\n"
    cli("services", "register", "-name", "db", "-port", "5432", "-tag", "primary")
    agent.wait("both in the catalog", lambda: {"web", "db"} <= set(agent.get("/v1/catalog/services")))
    assert set(cli("catalog", "services").stdout.split()) == {"consul", "db", "web"}
    assert "v1" in cli("catalog", "services", "-tags").stdout
    assert "n1" in cli("catalog", "nodes", "-service", "web").stdout
    assert cli("catalog", "datacenters").stdout == "dc1\n"
    assert cli("services", "deregister", "-id", "w1").stdout == "Deregistered service: w1\n"
    assert cli("services", "deregister", "-id", "w1", code=1).stderr


def test_agent_commands(cli, agent: AgentProcess, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    members = cli("members").stdout.splitlines()
    assert members[0].split()[:3] == ["Node", "Address", "Status"]
    assert members[1].split()[0] == "n1"
    info = cli("info").stdout
    assert "raft:" in info
    assert "\tserver = true" in info
    assert cli("reload").stdout == "Configuration reload triggered\n"
    cli("maint", "-enable", "-reason", "oil change")
    assert "oil change" in cli("maint").stdout
    cli("maint", "-disable")
    assert cli("maint").stdout == ""
    assert "meshagent" in cli("version").stdout.lower()
    assert json.loads(cli("version", "-format=json").stdout)
    assert cli("validate", str(agent.directory / "agent.json")).stdout.endswith("Configuration is valid!\n")


def test_errors_are_one_line_that_says_what_to_do(cli) -> None:  # type: ignore[no-untyped-def]
    dead = ("-http-addr", "127.0.0.1:1")
    for command in (("members", *dead), ("kv", "get", *dead, "a"), ("catalog", "services", *dead)):
        said = cli(*command, code=1).stderr.strip()
        assert "127.0.0.1:1" in said
        assert len(said.splitlines()) == 1, said
    unknown = subprocess.run(
        [*meshagent_command(), "frobnicate"], capture_output=True, text=True, timeout=20, check=False
    )
    assert unknown.returncode != 0
    assert "frobnicate" in unknown.stdout + unknown.stderr


def test_monitor_streams_the_log(agent: AgentProcess) -> None:
    env = {**os.environ, "CONSUL_HTTP_ADDR": f"127.0.0.1:{agent.ports['http']}"}
    argv = [*meshagent_command(), "monitor", "-log-level", "debug"]
    agent.put("/v1/agent/check/register", {"Name": "disk", "TTL": "1h"})
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env) as process:
        try:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            seen = b""

            turn = iter(range(10_000))

            def logged() -> bool:
                nonlocal seen
                agent.put("/v1/agent/check/update/disk", {"Status": ("passing", "warning")[next(turn) % 2]})
                seen += process.stdout.read() or b""
                return b"Check status updated" in seen and b"disk" in seen

            agent.wait("the changes of the check in the log", logged)
        finally:
            process.terminate()
