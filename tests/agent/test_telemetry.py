import gc
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from meshagent.agent.gossip.member import Member
from meshagent.agent.telemetry import CollectorPauses, observe, process_text, runtime_gauges, split_prefix_filter
from meshagent.catalog.autopilot.health import AutopilotState
from meshagent.catalog.commands import KVSet, Register
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.model import Connect, Node, Service
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.metrics import Metrics

NOW = datetime(2024, 1, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "data/golden/http/metrics-shape.json"


def levels(metrics: Metrics) -> dict[str, Any]:
    """name or name{label values} -> value"""
    found = {}
    for row in metrics.display(NOW)["Gauges"]:
        labels = ",".join(v for k, v in row["Labels"].items() if k != "datacenter")
        found[row["Name"].removeprefix("consul.") + (f"{{{labels}}}" if labels else "")] = row["Value"]
    return found


@pytest.fixture
def agent() -> Any:
    store = Store()
    made = SimpleNamespace(
        store=store, log=MemoryLog(store), metrics=Metrics(), clock=VirtualClock(), datacenter="dc1", node_name="n1",
        extras={},
    )  # fmt: skip
    before = list(gc.callbacks)
    observe(made)  # type: ignore[arg-type]
    yield made
    gc.callbacks[:] = before


def register(agent: Any, name: str, service_id: str, **more: Any) -> None:
    service = Service(id=service_id, name=name, **more)
    agent.store.execute(Register(Node(name="n1", address="1.1.1.1"), service, (), False))


def test_the_catalog_is_counted_when_it_has_changed(agent: Any) -> None:  # G42
    register(agent, "consul", "consul")
    register(agent, "web", "w1")
    register(agent, "web", "w2", connect=Connect(native=True))
    register(agent, "web-px", "p1", kind="connect-proxy")
    agent.store.execute(KVSet("a", b"1", 0))
    found = levels(agent.metrics)
    assert found["state.nodes"] == 1
    assert found["state.services"] == 3
    assert found["state.service_instances"] == 4
    assert found["state.billable_service_instances"] == 2
    assert found["state.kv_entries"] == 1
    assert found["state.connect_instances{connect-proxy}"] == 1
    assert found["state.connect_instances{connect-native}"] == 1
    register(agent, "api", "a1")
    assert levels(agent.metrics)["state.services"] == 4


def test_the_log_and_the_cluster_are_shown(agent: Any) -> None:  # G42
    found = levels(agent.metrics)
    assert found["version{1.20.1,}"] == 1
    assert found["members.servers"] == 1
    assert found["autopilot.failure_tolerance"] == 0
    assert found["server.isLeader"] == int(agent.log.is_leader)
    assert found["raft.applied_index"] == int(agent.log.stats()["applied_index"])


def test_the_age_of_the_log_is_the_logs_own(agent: Any) -> None:
    assert levels(agent.metrics)["raft.leader.oldestLogAge"] == 0
    agent.extras["raft"] = SimpleNamespace(oldest_log_age_ms=1234)
    assert levels(agent.metrics)["raft.leader.oldestLogAge"] == 1234


def test_a_leader_shows_what_autopilot_sees(agent: Any) -> None:
    state = AutopilotState(False, 2, "a", ())
    agent.extras["autopilot"] = SimpleNamespace(state=state)
    found = levels(agent.metrics)
    assert (found["autopilot.healthy"], found["autopilot.failure_tolerance"]) == (0, 2)
    agent.extras["autopilot"].state = None
    assert levels(agent.metrics)["autopilot.healthy"] == 1


def test_every_gauge_of_an_idle_consul_is_there(agent: Any) -> None:  # A22
    (names,) = [
        step["response"]["json"]["Gauges"]
        for step in json.loads(GOLDEN.read_text())["steps"]
        if step.get("compare") == "metric-names"
    ]
    ours = {row["Name"] for row in agent.metrics.display(NOW)["Gauges"]}
    assert set(names) - ours == set()


def test_the_process_is_measured() -> None:
    metrics = Metrics()
    metrics.collect(runtime_gauges)
    found = levels(metrics)
    assert found["runtime.alloc_bytes"] > 1_000_000
    assert found["runtime.sys_bytes"] >= found["runtime.alloc_bytes"]
    assert found["runtime.num_goroutines"] >= 1
    assert found["runtime.malloc_count"] >= found["runtime.heap_objects"] > 1000


def test_pauses_of_the_collector_are_sampled_outside_it() -> None:
    times = iter((1.0, 1.25, 2.0, 2.5))
    pauses, metrics = CollectorPauses(lambda: next(times)), Metrics()
    for _ in range(2):
        pauses.note("start", {})
        pauses.note("stop", {})
    pauses.gauges(metrics)
    pauses.gauges(metrics)
    assert levels(metrics)["runtime.total_gc_pause_ns"] == 750_000_000
    (sample,) = metrics.display(NOW)["Samples"]
    assert (sample["Name"], sample["Count"], sample["Max"]) == ("consul.runtime.gc_pause_ns", 2, 500_000_000)


def test_prometheus_has_the_standard_process_metrics(agent: Any) -> None:  # A22
    values = dict(line.split() for line in process_text().splitlines() if not line.startswith("#"))
    (names,) = [
        step["response"]["json"]
        for step in json.loads(GOLDEN.read_text())["steps"]
        if step.get("compare") == "prometheus-names"
    ]
    assert set(values) == {name for name in names if name.startswith("process_")}
    assert float(values["process_resident_memory_bytes"]) > 1_000_000
    assert float(values["process_start_time_seconds"]) > 1.6e9
    assert int(values["process_open_fds"]) >= 3
    assert b"process_open_fds" in agent.metrics.prometheus()


def test_prefix_filters_are_split() -> None:  # G27
    words = ("+consul.raft", "-consul.http", "consul.bad", "+", "")
    assert split_prefix_filter(words) == (("consul.raft",), ("consul.http",), ["consul.bad", "+", ""])


def test_members_that_are_alive_are_counted_by_their_role(agent: Any) -> None:
    rows = [("s1", "consul", 1), ("s2", "consul", 4), ("c1", "node", 1), ("c2", "node", 1), ("c3", "node", 3)]
    members = [Member(name=name, addr="", port=1, tags={"role": role}, status=status) for name, role, status in rows]
    agent.extras["members"] = SimpleNamespace(members=lambda: members)
    found = levels(agent.metrics)
    assert found["members.servers"] == 1
    assert found["members.clients"] == 2
