"""I/O edge: processors, memory, disk and uptime of the host as gauges (`telemetry.enable_host_metrics`).

Source: surface row G27; the names are those that Consul shows. Read with psutil just before metrics are looked at; what
a processor did is the share of the time since the look before. What may change here: gauges may be added.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshagent.metrics import Metrics

__all__ = ["HostGauges", "shares"]

#: The kernel counts in hundredths of a second: over less time than this a share says nothing.
LEAST_S = 1.0
#: Gauge -> the field of psutil.
_CPU = {"user": "user", "system": "system", "idle": "idle", "iowait": "iowait"}


class HostGauges:
    """Given to `Metrics.collect`. `data_dir` tells which disk: "" the root's."""

    def __init__(self, data_dir: str) -> None:
        self._path = data_dir or "/"
        self._before: list[dict[str, float]] = []

    def __call__(self, metrics: Metrics) -> None:
        """Read, and set the gauges; what cannot be read stays as it was."""
        import psutil

        memory = psutil.virtual_memory()
        for name in ("total", "available", "free", "used"):
            metrics.gauge(f"host.memory.{name}", getattr(memory, name))
        metrics.gauge("host.memory.used_percent", memory.percent)
        now = [times._asdict() for times in psutil.cpu_times(percpu=True)]
        if len(now) != len(self._before):
            self._before = now
        for number, after in enumerate(now):
            for name, share in (found := shares(self._before[number], after)).items():
                metrics.gauge(f"host.cpu.{name}", share, (("cpu", f"cpu{number}"),))
            if found:
                self._before[number] = after
        metrics.gauge("host.uptime", _uptime_s())
        try:
            self._disk(metrics, os.statvfs(self._path))
        except OSError:
            return

    def _disk(self, metrics: Metrics, found: Any) -> None:
        labels = (("path", self._path),)
        size, available = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        used = size - found.f_bfree * found.f_frsize
        metrics.gauge("host.disk.size", size, labels)
        metrics.gauge("host.disk.used", used, labels)
        metrics.gauge("host.disk.available", available, labels)
        metrics.gauge("host.disk.used_percent", _percent(used, used + available), labels)
        inodes = _percent(found.f_files - found.f_ffree, found.f_files)
        metrics.gauge("host.disk.inodes_percent", inodes, labels)


def shares(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What one processor did between two looks, in percent: `total` is all but idle and waiting. {} when they are less
    than `LEAST_S` apart."""
    passed = {name: max(0.0, after[name] - before.get(name, 0.0)) for name in after}
    # Time of guests is counted among user and nice, too.
    whole = sum(seconds for name, seconds in passed.items() if not name.startswith("guest"))
    if whole < LEAST_S:
        return {}
    found = {ours: _percent(passed.get(theirs, 0.0), whole) for ours, theirs in _CPU.items()}
    rest = passed.get("idle", 0.0) + passed.get("iowait", 0.0)
    return {"total": _percent(whole - rest, whole), **found}


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole > 0 else 0.0


def _uptime_s() -> float:
    import time

    return time.clock_gettime(time.CLOCK_BOOTTIME)
