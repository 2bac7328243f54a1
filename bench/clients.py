"""I/O edge: the rows of client agents: `bench/run.py --only client`.

One client beside the loaded server of the other rows; a fleet of real client processes; and many simulated ones
(`fleet.py`), which speak real RPC to three servers.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from meshtest import load
from meshtest.dnstext import question_bytes
from meshtest.process import AgentProcess
from meshtest.servers import Servers, client_of

from bench.table import Bench, Figure, absolute, instance, row

HERE = Path(__file__).parent
PATH = "/v1/health/service/web?passing"
CHANGES = 200
WATCHERS = 10_000
FLEET = 50
NAME = "fleet.service.consul"
SIMULATED = 2000
LIMITS = {
    "limits": {"http_max_conns_per_client": 20_000, "rpc_max_conns_per_client": 0},
    "log_level": "WARN",
    "performance": {"raft_multiplier": 5},
}


@contextlib.contextmanager
def beside(server: AgentProcess) -> Iterator[AgentProcess]:
    """A client agent of the server, which follows `web`."""
    with client_of([server], **LIMITS) as client:
        client.wait("the first answer", lambda: client.get(PATH + "&cached"))
        yield client


def _http(bench: Bench, mode: str) -> Figure:
    path = PATH + mode
    bare_port = bench.yardstick("http", bench.body(PATH))
    with beside(bench.agent) as client:
        return bench.turns(
            lambda: load.wrk(client.ports["http"], path, bench.seconds),
            lambda: load.wrk(bare_port, path, bench.seconds),
            "r/s",
            "bare aiohttp handler",
        )


@row("client: health of a service, ?stale", 2.0, asked_for=True)
def client_http_stale(bench: Bench) -> Figure:
    return _http(bench, "&stale")


@row("client: health of a service, ?cached", 2.0, asked_for=True)
def client_http_cached(bench: Bench) -> Figure:
    return _http(bench, "&cached")


@row("client: health of a service, default (one barrier for all who wait)", 0.5, asked_for=True)
def client_http_default(bench: Bench) -> Figure:
    return _http(bench, "")


@row("client: DNS A, 3 instances, cached", 0.8, asked_for=True)
def client_dns(bench: Bench) -> Figure:
    name = "web.service.consul"
    questions, bare_port = bench.questions(f"{name} A"), bench.yardstick("dns", bench.answer(name, "A"))
    with beside(bench.agent) as client:
        _resolve(client, name)
        return bench.turns(
            lambda: load.dnsperf(client.ports["dns"], questions, bench.seconds),
            lambda: load.dnsperf(bare_port, questions, bench.seconds),
            "q/s",
            "bare recvfrom/sendto loop",
        )


def _resolve(agent: AgentProcess, name: str) -> bytes:
    answer = agent.dns(question_bytes({"name": name, "type": "A"}), timeout_s=10)
    if answer is None:
        raise load.NotMeasured(f"no answer to {name}")
    return answer


@row("client: change in the catalog to DNS answer, p99", 20.0, at_most=True, asked_for=True)
def client_change_to_dns(bench: Bench) -> Figure:
    """From the server's answer to the registration until the client's DNS gives the new address.

    The answer comes when the change is on disk and applied; how long that took is the yardstick.
    """
    took: list[float] = []
    writing: list[float] = []
    with beside(bench.agent) as client:
        for number in range(CHANGES):
            changed = instance("moving", 0)
            changed["Address"] = f"10.9.{number // 250}.{number % 250 + 1}"
            packed = bytes(int(part) for part in changed["Address"].split("."))
            _resolve(client, "moving.service.consul")
            began = time.perf_counter()
            bench.agent.put("/v1/catalog/register", changed)
            started = time.perf_counter()
            writing.append((started - began) * 1000)
            while packed not in _resolve(client, "moving.service.consul"):
                if time.perf_counter() - started > 10:
                    raise load.NotMeasured("the change did not arrive")
            took.append((time.perf_counter() - started) * 1000)
    took.sort()
    p99 = took[int(len(took) * 0.99)]
    print(f"    median {statistics.median(took):.1f} ms", file=sys.stderr)
    return Figure(p99, statistics.median(writing), "ms", "the write itself, median", p99)


@row("client: one change to 10,000 watchers of one service", 1.0, at_most=True, asked_for=True)
def client_watchers(bench: Bench) -> Figure:
    with beside(bench.agent) as client:
        index = client.http("GET", PATH).headers["x-consul-index"]
        changed = instance("web", 0)
        changed["Service"]["Meta"]["version"] = "2.0.0"
        blocking = f"{PATH}&index={index}&wait=60s"
        # The watchers ask the client; the change goes through it as well, as a write that it forwards.
        seconds, _ = load.last_watcher(
            client.ports["http"], WATCHERS, blocking, "PUT", "/v1/catalog/register", json.dumps(changed)
        )
        return absolute(seconds, 1.0, "s", "1 s")


@row("resident memory of an idle client agent", 1.0, at_most=True)
def client_memory(bench: Bench) -> Figure:
    with beside(bench.agent) as client:
        time.sleep(5)
        return absolute(_rss_mb(client.pid), 45.0, "MB", "45 MB")


@row("processor time of an idle client agent", 1.0, at_most=True)
def client_idle(bench: Bench) -> Figure:
    with beside(bench.agent) as client:
        time.sleep(3)
        before = _ticks(client.pid)
        time.sleep(30)
        percent = (_ticks(client.pid) - before) / 30.0
        return absolute(percent, 0.3, "%", "0.3 % of a core")


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def _ticks(pid: int) -> int:
    """Hundredths of a second of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@row("50 client processes: answers that fail while each server is killed", 0.0, at_most=True, asked_for=True)
def client_fleet(bench: Bench) -> Figure:
    """DNS of every client all the while; names that are followed, and cold ones."""
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(Servers(3, LIMITS))
        clients = []
        for number in range(FLEET):
            client = client_of(servers.all, f"c{number}", **LIMITS)
            stack.enter_context(contextlib.closing(_Stopping(client)))
            clients.append(client.start(ready=False))
        for number, client in enumerate(clients):
            client.wait_ready(60)
            client.put("/v1/agent/service/register", {"Name": "fleet", "Port": number + 1, "Address": "10.7.7.7"})
        leader = servers.leader()
        leader.wait("all in the catalog", lambda: len(leader.get("/v1/catalog/service/fleet")) == FLEET, within_s=60)
        for client in clients:
            client.wait(
                "its DNS", lambda client=client: b"\x0a\x07\x07\x07" in _resolve(client, "fleet.service.consul")
            )
        counts = {"asked": 0, "failed": 0}
        ending = threading.Event()

        def ask() -> None:
            number = 0
            while not ending.is_set():
                for client in clients:
                    number += 1
                    warm = _resolve(client, "fleet.service.consul")
                    cold = _resolve(client, f"cold{number}.service.consul")
                    counts["asked"] += 2
                    counts["failed"] += (warm[3] & 15 != 0) + (cold[3] & 15 != 3)

        asking = threading.Thread(target=ask)
        asking.start()
        for victim in servers.all:
            victim.kill()
            time.sleep(6)
            victim.start(ready=False)
            victim.wait_ready(30)
            time.sleep(3)
        ending.set()
        asking.join()
        memory = statistics.median(_rss_mb(client.pid) for client in clients)
        print(f"    {counts['asked']} answers, {memory:.1f} MB a client", file=sys.stderr)
        return Figure(counts["failed"], counts["asked"], "failed", "answers", float(counts["failed"]))


class _Stopping:
    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent

    def close(self) -> None:
        self._agent.stop()


@row("2,000 simulated clients: change to the last of them, p99", 1000.0, at_most=True, asked_for=True)
def client_simulated(bench: Bench) -> Figure:
    """All register, flap their checks and follow one service; what `fleet.py` prints goes to standard error."""
    with Servers(3, LIMITS) as servers:
        addresses = [f"127.0.0.1:{server.ports['server']}" for server in servers.all]
        argv = [sys.executable, "-P", str(HERE / "fleet.py"), str(SIMULATED), *addresses]
        before = [_ticks(server.pid) for server in servers.all]
        started = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, timeout=280, check=False)
        if done.returncode:
            raise load.NotMeasured(f"fleet.py: {done.stderr[-800:]}")
        took = time.perf_counter() - started
        busy = [(_ticks(server.pid) - was) / took for server, was in zip(servers.all, before, strict=True)]
        memory = [_rss_mb(server.pid) for server in servers.all]
        figures = json.loads(done.stdout)
        figures["servers"] = {"percent of a core": busy, "MB": memory}
        print(f"    {json.dumps(figures)}", file=sys.stderr)
        return Figure(figures["change_p99_ms"], figures["change_p50_ms"], "ms", "its median", figures["change_p99_ms"])
