"""The audit log: its lines, its bound, its file."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from meshagent.agent.acl import audit
from meshagent.agent.acl.audit import AuditLog
from meshagent.agent.config import Config
from meshagent.clock import Tasks, VirtualClock
from meshagent.errors import ConfigError


def made(path: Path) -> AuditLog:
    config = Config()
    config = config.replace(acl=config.acl.replace(audit=config.acl.audit.replace(path=str(path))))
    return AuditLog(config, "n1", VirtualClock(), Tasks())


def record(log: AuditLog, status: int = 200, refusal: str = "") -> None:
    log.record(
        accessor="acc", method="PUT", path="/v1/kv/a", remote="10.0.0.1", asker="c1", status=status, refusal=refusal
    )


async def test_a_line_for_a_write_and_one_for_a_denial(tmp_path: Path) -> None:
    log = made(tmp_path / "audit.json")
    record(log)
    record(log, 403, "Permission denied")
    log.close()
    (path,) = tmp_path.glob("audit-*.json")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "Time": "2024-01-01T00:00:00Z", "Node": "n1", "Accessor": "acc", "Method": "PUT", "Path": "/v1/kv/a",
        "Remote": "10.0.0.1", "Agent": "c1", "Status": 200,
    }  # fmt: skip
    assert second["Refusal"] == "Permission denied"
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0


async def test_what_does_not_fit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_WAITING", 2)
    log = made(tmp_path / "audit.json")
    for _ in range(5):
        record(log)
    log.close()
    record(log)
    log.close()
    lines = [json.loads(line) for path in tmp_path.glob("*.json") for line in path.read_text().splitlines()]
    assert sum(line.get("LinesLostBefore", 0) for line in lines) == 3


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"acl\.audit\.path"):
        made(tmp_path / "missing" / "audit.json")
