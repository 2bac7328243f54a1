"""I/O edge: a pair of sidecars with mutual TLS between, nginx behind: ours beside Envoy and HAProxy (one thread each).

`bench/run.py --only mesh`; each row is less than two minutes: `--row mesh_l4_keepalive`. Ours are two
`meshagent connect proxy` at a real agent. A row of HTTP is one more function with the pairs of `Mesh.pair`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from meshtest import load
from meshtest.meshcerts import TrustDomain
from meshtest.meshpeers import envoy, envoy_listener, haproxy, leaf_files, nginx
from meshtest.peers import wait_until
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Echo, Sidecars, dial, exchange, sidecars

from bench.table import Bench, Figure, absolute, row

HERE = Path(__file__).parent
BULK_BYTES = 50 << 20
ENDPOINTS = 1000


class Mesh:
    """nginx, and pairs in front of it by name, each started on first use and kept to the end of the row."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self.directory = directory
        self.stack = stack
        self.backend = free_ports(["http"])["http"]
        self._serve()
        self._domain = TrustDomain()
        self._leafs = {name: leaf_files(directory, self._domain, name) for name in ("web", "api")}
        self._ports: dict[str, int] = {}
        self._agent: AgentProcess | None = None
        self._sidecars: Sidecars | None = None

    def _serve(self) -> None:
        self.stack.enter_context(nginx(self.directory, self.backend, file_bytes=BULK_BYTES))

    def _answers(self, kind: str) -> bool:
        return b"hello" in subprocess.check_output([load.tool("curl"), "-s", self.url(kind, "/")])

    def pair(self, kind: str) -> int:
        """The port at which a client of that pair dials: "ours", "envoy", "haproxy", or "direct" for none."""
        if kind == "direct":
            return self.backend
        if kind not in self._ports:
            self._ports[kind] = {"ours": self._ours, "envoy": self._envoy, "haproxy": self._haproxy}[kind]()
            wait_until(f"an answer through {kind}", lambda: self._answers(kind))
        return self._ports[kind]

    def url(self, kind: str, path: str) -> str:
        return f"http://127.0.0.1:{self._ports.get(kind, self.backend)}{path}"

    @property
    def sidecars(self) -> Sidecars:
        if self._sidecars is None:
            self._agent = self.stack.enter_context(AgentProcess.server({"log_level": "WARN"}))
            agent = self._agent
            agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
            self._sidecars = self.stack.enter_context(sidecars(agent, self.directory))
        return self._sidecars

    def _ours(self) -> int:
        ports = free_ports(["web", "web-in", "api-in"])  # the agent's own choice may be taken by another run
        port = ports["web"]
        self.sidecars.register("api", self.backend, sidecar_port=ports["api-in"])
        self.sidecars.register("web", 9, {"api": port}, sidecar_port=ports["web-in"])
        self.sidecars.start("api")
        self.sidecars.start("web")
        return port

    def _envoy(self) -> int:
        ports = free_ports(["out", "in"])
        serve = envoy_listener(ports["in"], self.backend, serve=self._leafs["api"])
        accepts = (self._domain.identity("api"),)
        dial = envoy_listener(ports["out"], ports["in"], dial=self._leafs["web"], accepts=accepts)
        self.stack.enter_context(envoy(self.directory, "envoy-api", serve, port=ports["in"]))
        self.stack.enter_context(envoy(self.directory, "envoy-web", dial, port=ports["out"]))
        return ports["out"]

    def _haproxy(self) -> int:
        ports = free_ports(["out", "in"])
        leafs = self._leafs
        self.stack.enter_context(haproxy(self.directory, "haproxy-api", ports["in"], self.backend, serve=leafs["api"]))
        self.stack.enter_context(haproxy(self.directory, "haproxy-web", ports["out"], ports["in"], dial=leafs["web"]))
        return ports["out"]


@contextlib.contextmanager
def mesh() -> Iterator[Mesh]:
    with contextlib.ExitStack() as stack:
        yield Mesh(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-mesh-"))), stack)


def beside(
    bench: Bench, world: Mesh, measure: Callable[[int], float], unit: str, best_of: tuple[str, ...], shown: str
) -> Figure:
    """All pairs in turns; the yardstick is the best of `best_of`, `shown` is told beside."""
    kinds = dict.fromkeys(("ours", *best_of, shown))
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(bench.rounds):
        for kind in kinds:
            taken[kind].append(measure(world.pair(kind)))
    medians = {kind: statistics.median(values) for kind, values in taken.items()}
    best = max(best_of, key=medians.__getitem__)
    ratio = statistics.median(ours / other for ours, other in zip(taken["ours"], taken[best], strict=True))
    others = ", ".join(f"{kind} {value:,.0f}" for kind, value in medians.items() if kind != "ours")
    return Figure(medians["ours"], medians[best], unit, others, ratio)


@row("L4 keep-alive through the pair, 32 clients", 1.0, asked_for=True)
def mesh_l4_keepalive(bench: Bench) -> Figure:
    with mesh() as world:
        return beside(
            bench, world, lambda port: load.wrk(port, "/", bench.seconds), "r/s", ("envoy", "haproxy"), "envoy"
        )


@row("L4 bulk through the pair, 50 MB", 1.0, asked_for=True)
def mesh_l4_bulk(bench: Bench) -> Figure:
    def fetch(port: int) -> float:
        argv = [load.tool("curl"), "-s", "-o", "/dev/null", "-w", "%{size_download} %{time_total}"]
        got = [load.run([*argv, f"http://127.0.0.1:{port}/file"], 60).split() for _ in range(6)]
        if any(int(size) != BULK_BYTES for size, _ in got):
            raise load.NotMeasured(f"bytes are missing: {got}")
        return statistics.median(BULK_BYTES / 1e6 / float(seconds) for _, seconds in got)

    with mesh() as world:
        return beside(bench, world, fetch, "MB/s", ("envoy",), "haproxy")


@row("L4 new connections through the pair, 32 clients", 1.0, asked_for=True)
def mesh_l4_connections(bench: Bench) -> Figure:
    """wrk closes after each answer. The yardstick is HAProxy; Envoy (BoringSSL) is the aim."""
    with mesh() as world:
        return beside(
            bench,
            world,
            lambda port: load.wrk(port, "/", bench.seconds, headers=("Connection: close",)),
            "c/s",
            ("haproxy",),
            "envoy",
        )


def _paced(port: int, seconds: float) -> tuple[float, float]:
    """(p50, p99) in ms at 500 requests a second, from when each was due."""
    argv = [sys.executable, "-P", str(HERE / "paced.py"), str(port), "500", "16", str(seconds)]
    result = json.loads(load.run(argv, seconds + 30))
    if result["failed"]:
        raise load.NotMeasured(f"{result['failed']} requests failed")
    return result["p50_ms"], result["p99_ms"]


def _added(bench: Bench, at: int, reach: float) -> Figure:
    with mesh() as world:
        pairs = []
        for _ in range(bench.rounds):
            direct, ours, theirs = (
                _paced(world.pair(kind), max(4.0, bench.seconds))[at] for kind in ("direct", "ours", "envoy")
            )
            pairs.append((ours - direct, theirs - direct))
        measured = statistics.median(ours for ours, _ in pairs)
        other = statistics.median(theirs for _, theirs in pairs)
        return absolute(measured, reach, "ms", f"{reach} ms; envoy {other:.2f}")


@row("latency the pair adds at 500 r/s, p50", 1.0, at_most=True, asked_for=True)
def mesh_latency_p50(bench: Bench) -> Figure:
    return _added(bench, 0, 0.6)


@row("latency the pair adds at 500 r/s, p99", 1.0, at_most=True, asked_for=True)
def mesh_latency_p99(bench: Bench) -> Figure:
    return _added(bench, 1, 3.0)


def resident(pid: int) -> float:
    """MB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


@row("resident memory of an idle sidecar", 1.0, at_most=True, asked_for=True)
def mesh_memory_idle(bench: Bench) -> Figure:
    with mesh() as world:
        world.pair("ours")
        return absolute(resident(world.sidecars.processes["web"].pid), 45, "MB", "45 MB")


@row("resident memory with 1,000 upstream endpoints", 1.0, at_most=True, asked_for=True)
def mesh_memory_endpoints(bench: Bench) -> Figure:
    with mesh() as world:
        world.pair("ours")
        side = world.sidecars
        for at in range(ENDPOINTS):
            proxy = {"DestinationServiceName": "big"}
            service = {
                "Kind": "connect-proxy",
                "ID": f"big-{at}",
                "Service": "big-proxy",
                "Port": 20000,
                "Proxy": proxy,
            }
            node = {"Node": f"node-{at}", "Address": f"10.1.{at // 250}.{at % 250 + 1}", "Service": service}
            assert side.agent.put("/v1/catalog/register", node).status == 200
        side.register("web", 9, {"api": world.pair("ours"), "big": free_ports(["big"])["big"]})
        path = "/v1/agent/connect/proxy/web-sidecar-proxy"

        def endpoints() -> bool:
            clusters: dict[str, Any] = side.agent.get(path)["clusters"]
            return any(len(one["endpoints"]) == ENDPOINTS for one in clusters.values())

        side.agent.wait("all endpoints", endpoints)
        side.agent.wait("the listener", lambda: "upstream=big" in side.log("web"))
        return absolute(resident(side.processes["web"].pid), 60, "MB", "60 MB")


SIDECARS = 200


@row("deny enforced on live connections of 200 sidecars", 1.0, at_most=True, asked_for=True)
def mesh_deny_fanout(bench: Bench) -> Figure:
    """A wildcard deny; 200 services with a sidecar each in one managed process, a live connection from web to each."""
    ports = free_ports()
    managed = {
        "log_level": "WARN",
        "connect": {"builtin_proxy": "managed"},
        "ports": {**ports, "sidecar_min_port": 12_000, "sidecar_max_port": 12_999},
    }
    with AgentProcess.server(managed, ports=ports) as agent:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        lock = agent.directory / "data" / "proxies" / "lock"
        agent.wait("the process", lambda: lock.exists() and lock.read_text().strip())
        pid = int(lock.read_text())
        folder = Path(bench.stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-fan-")))
        side, echo = Sidecars(agent, folder), Echo()
        first = 13_000
        try:
            upstreams = {}
            for at in range(SIDECARS):
                side.register(f"s{at}", echo.port)
                upstreams[f"s{at}"] = first + at
            side.register("web", 9, upstreams)
            wait_until("all sidecars", lambda: all(exchange(port) for port in upstreams.values()), within_s=90)
            took = [_deny(side, list(upstreams.values())) for _ in range(bench.rounds)]
            memory = resident(pid)
        finally:
            agent.stop()
            os.kill(pid, signal.SIGTERM)
        return absolute(statistics.median(took), 1.0, "s", f"1 s; {SIDECARS + 1} sidecars in {memory:.0f} MB")


def _deny(side: Sidecars, ports: list[int]) -> float:
    live = []
    for port in ports:
        connection = dial(port, 30.0)
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        live.append(connection)
    started = time.monotonic()
    side.intention("web", "*", "deny")
    for connection in live:
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
    took = time.monotonic() - started
    for connection in live:
        connection.close()
    side.intention("web", "*", "allow")
    wait_until("allowed again", lambda: all(exchange(port) for port in ports), within_s=60)
    return took
