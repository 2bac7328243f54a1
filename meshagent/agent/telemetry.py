"""I/O edge: gauges of the process, the catalog and the log; Prometheus' `process_` metrics.

Source: surface rows A22, G27, G42; the names a running Consul 1.20.1 shows (golden `metrics-shape.json`);
prometheus.io/docs/instrumenting/writing_clientlibs#process-metrics. Where Consul's name is about Go's runtime, the
nearest thing of Python's is counted, and the help of the metric says what. They are read when somebody looks, and once
an interval, not as they change. What may change here: rows may be added.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshagent import CONSUL_VERSION
from meshagent.agent.gossip.member import Member, Status

if TYPE_CHECKING:
    from meshagent.agent.autopilot import AutopilotKeeper
    from meshagent.agent.core import Agent
    from meshagent.agent.membership import Membership
    from meshagent.agent.peering.status import Statuses
    from meshagent.catalog.autopilot.health import AutopilotState
    from meshagent.catalog.model import Service
    from meshagent.catalog.raft.replica import RaftLog
    from meshagent.metrics import Metrics

__all__ = ["agent_gauges", "observe", "process_text", "runtime_gauges", "split_prefix_filter"]

_PAGE_BYTES = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")
_KEPT_PAUSES = 1024
_MESH_KINDS = (
    "connect-proxy",
    "connect-native",
    "mesh-gateway",
    "ingress-gateway",
    "terminating-gateway",
    "api-gateway",
)
#: None is stored yet; the gauge is there so that dashboards find it.
_ENTRY_KINDS = (
    "service-defaults",
    "proxy-defaults",
    "service-router",
    "service-splitter",
    "service-resolver",
    "service-intentions",
    "ingress-gateway",
    "terminating-gateway",
    "mesh",
    "exported-services",
)


def observe(agent: Agent) -> None:
    """Have all of this shown in the agent's metrics."""
    pauses = CollectorPauses(agent.clock.monotonic)
    gc.callbacks.append(pauses.note)
    agent.metrics.collect(pauses.gauges)
    agent.metrics.collect(runtime_gauges)
    agent.metrics.collect(agent_gauges(agent))
    agent.metrics.expose(process_text)


def split_prefix_filter(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """(allowed, blocked, words that are neither) of `telemetry.prefix_filter`: `+consul.raft`, `-consul.http`."""
    allowed = tuple(word[1:] for word in words if word[:1] == "+" and len(word) > 1)
    blocked = tuple(word[1:] for word in words if word[:1] == "-" and len(word) > 1)
    return allowed, blocked, [word for word in words if word[:1] not in ("+", "-") or len(word) == 1]


class CollectorPauses:
    """How long Python's collector held everything up, as a callback of `gc`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started = 0.0
        self._waiting: list[int] = []
        self.total_ns = 0

    def note(self, phase: str, _info: object) -> None:
        """Called by `gc` when a collection starts and stops."""
        if phase == "start":
            self._started = self._monotonic()
            return
        pause_ns = int((self._monotonic() - self._started) * 1e9)
        self.total_ns += pause_ns
        if len(self._waiting) < _KEPT_PAUSES:
            self._waiting.append(pause_ns)

    def gauges(self, metrics: Metrics) -> None:
        """Show what was noted. Metrics are not touched inside a collection."""
        waiting, self._waiting = self._waiting, []
        for pause_ns in waiting:
            metrics.sample("runtime.gc_pause_ns", pause_ns)
        metrics.gauge("runtime.total_gc_pause_ns", self.total_ns)


def runtime_gauges(metrics: Metrics) -> None:
    """`runtime.*`: resident bytes, tasks of the event loop, blocks allocated, what the collector did."""
    resident, virtual = _memory()
    metrics.gauge("runtime.alloc_bytes", resident)
    metrics.gauge("runtime.sys_bytes", virtual)
    blocks = sys.getallocatedblocks()
    metrics.gauge("runtime.heap_objects", blocks)
    metrics.gauge("runtime.num_goroutines", _task_count())
    stats = gc.get_stats()
    metrics.gauge("runtime.total_gc_runs", sum(generation["collections"] for generation in stats))
    freed = sum(generation["collected"] for generation in stats)
    metrics.gauge("runtime.free_count", freed)
    metrics.gauge("runtime.malloc_count", blocks + freed)


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # no loop runs here
        return threading.active_count()


def agent_gauges(agent: Agent) -> Callable[[Metrics], None]:
    """Gauges of the catalog, the log and the cluster, as a callback for `Metrics.collect`."""
    labels = (("datacenter", agent.datacenter),)
    counted: tuple[int, _Counts] = (-1, _Counts())

    def collect(metrics: Metrics) -> None:
        nonlocal counted
        registrations = agent.store.registrations
        if counted[0] != agent.store.index:
            counted = (agent.store.index, _count(registrations.services.values()))
        counts = counted[1]
        metrics.gauge("version", 1, (("version", CONSUL_VERSION), ("pre_release", "")))
        metrics.gauge("server.isLeader", 1 if agent.log.is_leader else 0)
        stats = agent.log.stats()
        for shown, name in (("raft.applied_index", "applied_index"), ("raft.last_index", "last_log_index")):
            if stats.get(name, "").isdecimal():
                metrics.gauge(shown, int(stats[name]))
        raft: RaftLog | None = agent.extras.get("raft")
        metrics.gauge("raft.leader.oldestLogAge", 0 if raft is None else raft.oldest_log_age_ms)
        servers = int(stats.get("num_peers") or 0) + 1
        health = _health(agent)
        metrics.gauge("autopilot.healthy", 1 if (health.healthy if health else agent.log.leader) else 0)
        metrics.gauge("autopilot.failure_tolerance", health.failure_tolerance if health else (servers - 1) // 2)
        metrics.gauge("raft.peers", servers)
        here = [member for member in _members(agent) if member.status == Status.ALIVE]
        server_count = sum(member.tags.get("role") == "consul" for member in here)
        metrics.gauge("members.servers", server_count or servers, labels)
        metrics.gauge("members.clients", len(here) - server_count, labels)
        metrics.gauge("session_ttl.active", len(agent.store.sessions.with_ttl))
        metrics.gauge("state.nodes", len(registrations.nodes), labels)
        metrics.gauge("state.services", counts.names, labels)
        metrics.gauge("state.service_instances", len(registrations.services), labels)
        metrics.gauge("state.billable_service_instances", counts.billable, labels)
        metrics.gauge("state.kv_entries", len(agent.store.kv.entries), labels)
        metrics.gauge("state.peerings", len(agent.store.peerings.rows), labels)
        _peerings(agent, metrics)
        for kind, count in counts.by_kind.items():
            metrics.gauge("state.connect_instances", count, (*labels, ("kind", kind)))
        for kind in _ENTRY_KINDS:
            metrics.gauge("state.config_entries", 0, (*labels, ("kind", kind)))

    return collect


def _peerings(agent: Agent, metrics: Metrics) -> None:
    """The leader's view of each peering: whether its stream is open, and how many services go through it."""
    statuses: Statuses | None = getattr(agent, "extras", {}).get("peering_status")
    if statuses is None:
        return
    for row in agent.store.peerings.rows.values():
        status, labels = statuses.of(row.id), (("peer_name", row.name), ("peer_id", row.id))
        metrics.gauge("peering.healthy", int(status.connected), labels)
        metrics.gauge("peering.exported_services", len(status.exported or ()), labels)


def _health(agent: Agent) -> AutopilotState | None:
    """What the leader's autopilot saw last; the other servers know only whether there is a leader."""
    extras: dict[str, Any] = getattr(agent, "extras", {})
    keeper: AutopilotKeeper | None = extras.get("autopilot")
    return None if keeper is None else keeper.state


def _members(agent: Agent) -> list[Member]:
    pool: Membership | None = agent.extras.get("members")
    return [] if pool is None else pool.members()


@dataclass(frozen=True, slots=True)
class _Counts:
    names: int = 0
    billable: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)


def _count(services: Iterable[Service]) -> _Counts:
    """One pass over all instances: a few milliseconds for 100,000, and only when something has changed."""
    names: set[str] = set()
    by_kind = dict.fromkeys(_MESH_KINDS, 0)
    billable = 0
    for service in services:
        names.add(service.name)
        if service.kind in by_kind:
            by_kind[service.kind] += 1
        elif service.name != "consul":
            billable += 1
        if service.connect.native:
            by_kind["connect-native"] += 1
    return _Counts(len(names), billable, by_kind)


def process_text() -> str:
    """Prometheus' standard metrics of the process."""
    resident, virtual = _memory()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    rows = [
        ("process_cpu_seconds_total", "counter", "CPU seconds used", round(usage.ru_utime + usage.ru_stime, 3)),
        ("process_max_fds", "gauge", "Files that may be open", soft_files),
        ("process_open_fds", "gauge", "Files that are open", _open_files()),
        ("process_resident_memory_bytes", "gauge", "Memory in use", resident),
        ("process_start_time_seconds", "gauge", "When the process began, since 1970", _started()),
        ("process_virtual_memory_bytes", "gauge", "Address space in use", virtual),
        ("process_virtual_memory_max_bytes", "gauge", "Address space allowed, -1 is all", soft_bytes),
    ]
    return "\n".join(f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {value}" for name, kind, text, value in rows)


def _memory() -> tuple[int, int]:
    """(resident, virtual) bytes: from /proc, elsewhere the highest resident size alone."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            virtual, resident = file.read().split()[:2]
        return int(resident) * _PAGE_BYTES, int(virtual) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, 0


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def _started() -> float:
    """proc(5): field 22 of stat is the start in ticks after boot; btime of /proc/stat is when that was."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/stat", encoding="ascii") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    except (OSError, StopIteration):
        return 0.0
    return boot + ticks / _TICKS
