"""The demo against a stub of the agent; tests/e2e runs it with the real one."""

import socket
import sys
from typing import Any

import pytest

from meshagent.agent.cli import demo

WEB = {"Service": {"Address": "127.0.0.1", "Port": 1234}}


@pytest.fixture
def staged(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stub stands for the agent; the child only waits."""
    ports = dict.fromkeys(demo._USUAL, 1) | {"http": stub.port, "dns": 5353}
    real = demo._free_ports
    monkeypatch.setattr(demo, "_free_ports", lambda usual: ports if "dns" in usual else real(usual))
    sleeper = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    monkeypatch.setattr(demo, "_agent_command", lambda _: sleeper)
    stub.answer("status/leader", "127.0.0.1:8300")
    stub.answer("agent/service/register", b"", method="PUT")
    stub.answer("health/service/web", [WEB])
    stub.answer("health/service/api", [WEB])
    return stub


def test_once_shows_what_to_try_and_ends(cli: Any, staged: Any) -> None:
    ran = cli("demo -once")
    assert (ran.status, ran.err) == (0, "")
    assert "dig @127.0.0.1 -p 5353 web.service.consul SRV" in ran.out
    assert f"curl 'http://127.0.0.1:{staged.port}/v1/health/service/web?passing&pretty'" in ran.out
    assert f"health -http-addr=127.0.0.1:{staged.port}" in ran.out
    registered = [asked.json for asked in staged.asked if asked.method == "PUT"]
    assert [(r["Name"], r["Check"]["HTTP"]) for r in registered] == [
        (r["Name"], f"http://127.0.0.1:{r['Port']}/health") for r in registered
    ]
    assert [r["Name"] for r in registered] == ["web", "api"]


def test_the_flag_may_stand_behind_the_name(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(demo, "_mesh", lambda once: asked.append(once) or 0)
    assert [cli(line).status for line in ("demo mesh -once", "demo -once mesh", "demo mesh")] == [0, 0, 0]
    assert asked == [True, True, False]
    assert "expected 1, got 2" in cli("demo mesh twice").err


def test_an_agent_that_dies_is_reported_with_its_last_lines(
    cli: Any, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [sys.executable, "-c", "import sys; print('==> data_dir: no space'); sys.exit(3)"]
    monkeypatch.setattr(demo, "_agent_command", lambda _: words)
    staged.answer("status/leader", "")
    ran = cli("demo -once")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "the agent ended with status 3:\n==> data_dir: no space\n"


def test_what_never_comes_is_reported(cli: Any, staged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_START_TIMEOUT_S", 0.3)
    staged.answer("health/service/web", [])
    ran = cli("demo -once")
    assert ran.status == 1
    assert ran.err.startswith("waited 0 s for web to pass its check\n")


def test_usual_ports_are_taken_when_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        found = demo._free_ports({"http": busy, "dns": 0})
        assert found["http"] != busy
        assert len(set(found.values())) == 2
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert demo._free_ports({"http": free}) == {"http": free}


def test_commands_to_try_can_be_typed_in_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert demo._program(".venv/bin/meshagent") == "meshagent"
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.chdir("/")
    assert demo._program(".venv/bin/meshagent") == "/.venv/bin/meshagent"
    assert demo._program("/x/cli/__main__.py") == f"{sys.executable} -m meshagent.agent.cli"
