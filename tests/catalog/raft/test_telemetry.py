"""The metrics of the log carry Consul's names (G42), and `meshagent.metrics` takes them."""

from __future__ import annotations

import asyncio

from meshtest.disk import SimDisk
from meshtest.logs import History, open_on

from meshagent.catalog.raft.telemetry import NoMetrics
from meshagent.metrics import Metrics, MetricsSettings


async def test_the_metrics_carry_consuls_names() -> None:
    class Counts:
        def __init__(self) -> None:
            self.names: dict[str, float] = {}

        def incr(self, name: str, value: float = 1.0) -> None:
            self.names[name] = self.names.get(name, 0) + value

        gauge = sample = incr

    metrics = Counts()
    log = open_on(SimDisk(), History(), metrics=metrics)
    await log.start()
    await asyncio.gather(*(log.propose(b"x") for _ in range(5)))
    await log.snapshot()
    assert metrics.names["raft.apply"] == 5
    assert metrics.names["raft.commitNumLogs"] == 5
    assert {
        "raft.commitTime", "raft.fsm.apply", "raft.applied_index", "raft.last_index", "raft.state.candidate",
        "raft.state.leader", "raft.snapshot.takeSnapshot", "raft.snapshot.persist", "raft.wal.log_appends",
        "raft.wal.log_entries_written", "raft.wal.log_entry_bytes_written", "raft.leader.dispatchLog",
        "raft.leader.dispatchNumLogs", "raft.transition.heartbeat_timeout",
    } <= set(metrics.names)  # fmt: skip
    await log.stop()


async def test_the_agents_metrics_fit() -> None:
    metrics = Metrics(MetricsSettings(), lambda: 0.0)
    log = open_on(SimDisk(), History(), metrics=metrics)
    await log.start()
    await log.propose(b"x")
    await log.stop()


def test_without_metrics_nothing_is_counted() -> None:
    nothing = NoMetrics()
    nothing.incr("raft.apply")
    nothing.gauge("raft.last_index", 1)
    nothing.sample("raft.commitTime", 1)
    assert vars(nothing) == {}
