"""Gauges of the host (surface row G27)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.host_metrics import HostGauges, shares
from meshagent.metrics import Metrics

NAMES = {
    *(f"memory.{name}" for name in ("total", "available", "free", "used", "used_percent")),
    *(f"cpu.{name}" for name in ("total", "user", "idle", "iowait", "system")),
    *(f"disk.{name}" for name in ("size", "used", "available", "used_percent", "inodes_percent")),
    "uptime",
}


class Gauges(Metrics):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[str, str], float] = {}

    def gauge(self, name: str, value: float, labels: tuple[tuple[str, str], ...] = ()) -> None:
        self.seen[name, labels[0][1] if labels else ""] = value


def test_all_of_the_host_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    busy = iter(range(10, 100, 10))

    real = type(psutil.cpu_times())

    def cpu_times(percpu: bool) -> list[Any]:
        assert percpu
        return [real(next(busy), *[0.0] * (len(real._fields) - 1))]

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    metrics, look = Gauges(), HostGauges(str(tmp_path))
    look(metrics)
    look(metrics)
    assert {name.removeprefix("host.") for name, _ in metrics.seen} == NAMES
    assert metrics.seen["host.cpu.user", "cpu0"] == metrics.seen["host.cpu.total", "cpu0"] == 100.0
    assert 0 < metrics.seen["host.memory.available", ""] <= metrics.seen["host.memory.total", ""]
    assert metrics.seen["host.disk.size", str(tmp_path)] > 0
    assert 0 <= metrics.seen["host.disk.used_percent", str(tmp_path)] <= 100
    assert metrics.seen["host.uptime", ""] > 0


def test_a_disk_that_cannot_be_read_takes_nothing_else_away(tmp_path: Path) -> None:
    metrics = Gauges()
    HostGauges(str(tmp_path / "nowhere"))(metrics)
    assert ("host.memory.total", "") in metrics.seen
    assert not any(name.startswith("host.disk") for name, _ in metrics.seen)


def test_shares_of_the_time_between_two_looks() -> None:
    before = {"user": 10.0, "system": 5.0, "idle": 80.0, "iowait": 5.0, "guest": 1.0}
    after = {"user": 12.0, "system": 6.0, "idle": 86.0, "iowait": 6.0, "guest": 2.0}
    assert shares(before, after) == {"total": 30.0, "user": 20.0, "system": 10.0, "idle": 60.0, "iowait": 10.0}
    assert shares(before, before) == {}
