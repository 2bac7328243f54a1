"""`meshagent debug` against a stub of an agent."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def agent(stub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    stub.answer("agent/self", {"Config": {"Version": "1.20.1"}})
    for path in ("agent/host", "agent/members", "agent/metrics"):
        stub.answer(path, {"path": path})
    stub.answer("agent/monitor", b"a line\n")
    for kind in ("profile", "goroutine", "heap"):
        stub.answers["GET", f"/debug/pprof/{kind}"] = (200, b"main;work 3\n")
    return stub


def files(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as packed:
        return {name: packed.extractfile(name).read() for name in packed.getnames()}  # type: ignore[union-attr]


def test_everything_is_in_one_archive(cli: Any, agent: Any, tmp_path: Path) -> None:
    ran = cli("debug -duration=1s -interval=1s -output=it")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("Saved debug archive: it.tar.gz\n")
    found = files(tmp_path / "it.tar.gz")
    assert json.loads(found["it/agent.json"])["Config"]["Version"] == "1.20.1"
    assert json.loads(found["it/0/metrics.json"]) == {"path": "agent/metrics"}
    assert found["it/0/profile.txt"] == b"main;work 3\n"
    assert json.loads(found["it/index.json"])["Problems"] == []
    assert (tmp_path / "it.tar.gz").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "it").exists()


def test_what_cannot_be_recorded_is_said_and_the_rest_is_there(cli: Any, agent: Any, tmp_path: Path) -> None:
    del agent.answers["GET", "/debug/pprof/profile"]
    agent.answer("agent/host", b"no", status=403)
    ran = cli("debug -duration=1s -interval=1s -archive=false -output=it -capture=host -capture=pprof -capture=members")
    assert ran.status == 0
    assert "not recorded: host.json" in ran.out
    agent.answer("agent/monitor", b"no", status=403)
    assert (
        "not recorded: consul.log: Unexpected response code: 403 (no)"
        in cli("debug -duration=1s -interval=1s -archive=false -output=two -capture=logs").out
    )
    assert "is enable_debug set?" in ran.out
    assert (tmp_path / "it" / "members.json").exists()
    assert not (tmp_path / "it" / "agent.json").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("debug -duration=soon", "invalid value for -duration"),
        ("debug -interval=1ms", "-interval must be at least 1s, not 1ms"),
        ("debug -capture=all", "-capture: 'all' is not one of agent, host"),
    ],
)
def test_misuse_is_explained(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, message in ran.err) == (1, True)
    assert not stub.asked
