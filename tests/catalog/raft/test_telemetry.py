"""The metrics of the log carry Consul's names (G42), and `meshagent.metrics` takes them."""

from __future__ import annotations

import asyncio
from typing import Any

from meshtest.disk import SimDisk
from meshtest.logs import SMALL, History, open_on
from meshtest.sim.cluster import Cluster
from meshtest.sim.loop import run_sim

from meshagent.catalog.raft.telemetry import NoMetrics
from meshagent.clock import VirtualClock
from meshagent.metrics import Metrics, MetricsSettings


class Counts:
    """Sums of what was counted, and every value, by name and labels."""

    def __init__(self) -> None:
        self.names: dict[str, float] = {}
        self.values: dict[tuple[str, Any], list[float]] = {}

    def incr(self, name: str, value: float = 1.0, labels: Any = ()) -> None:
        self.names[name] = self.names.get(name, 0) + value
        self.values.setdefault((name, labels), []).append(value)

    gauge = sample = incr


async def test_the_metrics_carry_consuls_names() -> None:
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


async def test_how_old_the_log_is_and_how_long_a_segment_was_open() -> None:
    metrics, clock = Counts(), VirtualClock()
    disk = SimDisk()
    log = open_on(disk, History(), metrics=metrics, clock=clock, settings=SMALL)
    assert log.oldest_log_age_ms == 0, "it has not been started"
    await log.start()
    assert log.oldest_log_age_ms == 0, "no entry has a time"
    await log.propose(b"x")
    await clock.advance(7)
    assert log.oldest_log_age_ms == 7000
    assert "raft.wal.last_segment_age_seconds" not in metrics.names
    for _ in range(3):
        await log.propose(bytes(1500))
    ages = metrics.values["raft.wal.last_segment_age_seconds", ()]
    assert ages[0] == 7
    await clock.advance(2)
    assert log.oldest_log_age_ms == 9000
    await log.stop()
    again = open_on(disk, History(), clock=VirtualClock(), settings=SMALL)
    await again.start()
    assert again.oldest_log_age_ms > 0, "it is known after a restart"
    for number in range(40):
        await again.propose(b"%d" % number)
    await again.snapshot()
    assert again.oldest_log_age_ms == 0, "what was old is gone"
    await again.stop()


async def test_what_waits_to_be_applied_and_who_asks_how_far_it_is() -> None:
    metrics = Counts()
    log = open_on(SimDisk(), History(), metrics=metrics)
    await log.start()
    await log.propose(b"x")
    await log.barrier()
    assert metrics.names["raft.barrier"] == 1
    assert metrics.values["raft.fsm.enqueue", ()] == [0.0, 0.0]
    await log.stop()


def test_how_long_each_follower_takes() -> None:
    metrics = Counts()

    async def main() -> None:
        cluster = Cluster(1, 3, skew=0.0)
        for server in cluster.servers.values():
            await server.start()
        while cluster.leader is None or not cluster.leader.log.is_leader:
            await asyncio.sleep(0.05)
        leader = cluster.leader
        leader.log._engine._metrics = metrics
        for number in range(5):
            await leader.log.propose(b"%d" % number)
        await asyncio.sleep(1)
        followers = {name for name in cluster.servers if name != leader.node_id}
        slowest_ms = 4 * 1000 * cluster.network.weather.delay_s[1] + 100
        for name in ("raft.replication.heartbeat", "raft.replication.appendEntries.rpc"):
            values = {labels: taken for (what, labels), taken in metrics.values.items() if what == name}
            assert set(values) == {(("peer_id", follower),) for follower in followers}
            assert all(0 < took <= slowest_ms for taken in values.values() for took in taken)
        sent = {labels: sum(v) for (what, labels), v in metrics.values.items() if what.endswith("appendEntries.logs")}
        assert all(count == 5 for count in sent.values()), sent

    run_sim(main())
