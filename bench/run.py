"""I/O edge: `make bench`: a real agent and its yardsticks in the same run, as ratios, in a table and as JSON.

Each row says what is measured, against what, and what must be reached. Agent and yardstick take turns and medians
are compared, because the machine is shared and noisy. Rows of three servers are in cluster.py; each is run with --only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "lib"))

from meshtest import load
from meshtest.clients import http_request
from meshtest.dnstext import question_bytes
from meshtest.peers import accepts, running
from meshtest.process import AgentProcess, free_ports

import bench.acl
import bench.clients
import bench.cluster
import bench.mesh
import bench.mesh_deploy
import bench.mesh_http1
import bench.mesh_http2
import bench.writes
import bench.xds  # noqa: F401
from bench.table import INSTANCES, ROWS, Bench, Figure, Row, absolute, instance, row

RESULTS = Path(__file__).parent / "results.json"
WATCHERS = 500


# -- DNS -------------------------------------------------------------------------------------------------------------


@row("DNS A, 3 instances, cached", 0.8)
def dns_a(bench: Bench) -> Figure:
    name = "web.service.consul"
    return bench.dns_row(bench.questions(f"{name} A"), bench.answer(name, "A"))


@row("DNS SRV, 3 instances, cached", 0.8)
def dns_srv(bench: Bench) -> Figure:
    name = "web.service.consul"
    return bench.dns_row(bench.questions(f"{name} SRV"), bench.answer(name, "SRV"))


def _wide(bench: Bench, kind: str) -> Figure:
    few, many = bench.questions(f"web.service.consul {kind}"), bench.questions(f"big.service.consul {kind}")
    port = bench.agent.ports["dns"]
    return bench.turns(
        lambda: load.dnsperf(port, many, bench.seconds),
        lambda: load.dnsperf(port, few, bench.seconds),
        "q/s",
        "the same with 3 instances",
    )


@row("DNS A, 1,000 instances", 0.7)
def dns_a_wide(bench: Bench) -> Figure:
    return _wide(bench, "A")


@row("DNS SRV, 1,000 instances", 0.7)
def dns_srv_wide(bench: Bench) -> Figure:
    return _wide(bench, "SRV")


@row("DNS, every question different", 0.25)
def dns_miss(bench: Bench) -> Figure:
    """Half does not exist; half are nodes and services that do, spelt in ever other case."""
    chance = random.Random(1)

    def respelt(name: str) -> str:
        return "".join(letter.upper() if chance.random() < 0.5 else letter for letter in name)

    lines = []
    for at in range(60_000 * max(1, round(bench.seconds)) * bench.rounds // 2):
        lines.append(f"nothing-{at}.service.consul A")
        if at % 2:
            lines.append(f"{respelt(f'node-big-{at % INSTANCES:04}.node.consul')} A")
        else:
            lines.append(f"{respelt('web.service.consul')}. SRV".replace(". SRV", f" {chance.choice(('A', 'SRV'))}"))
    chance.shuffle(lines)
    share = len(lines) // bench.rounds
    files = []
    for turn in range(bench.rounds):  # a file of its own each turn: nothing asked before is asked again
        path = bench.directory / f"different-{turn}"
        path.write_text("\n".join(lines[turn * share : (turn + 1) * share]) + "\n")
        files.append(path)
    bare_port = bench.yardstick("dns", bench.answer("web.service.consul", "A"))
    left = iter(files)
    return bench.turns(
        lambda: load.dnsperf(bench.agent.ports["dns"], next(left), bench.seconds, "NOERROR|NXDOMAIN"),
        lambda: load.dnsperf(bare_port, files[0], bench.seconds),
        "q/s",
        "bare recvfrom/sendto loop",
    )


# -- HTTP ------------------------------------------------------------------------------------------------------------


@row("health of a service, 3 instances", 0.8)
def http_health(bench: Bench) -> Figure:
    return bench.http_row("/v1/health/service/web?passing")


@row("health of a service, 1,000 instances", 0.6)
def http_health_wide(bench: Bench) -> Figure:
    return bench.http_row("/v1/health/service/big?passing")


@row("GET of a key", 0.8)
def kv_get(bench: Bench) -> Figure:
    return bench.http_row("/v1/kv/x")


@row("durable PUT of a key, 64 clients", 1.2)
def kv_put(bench: Bench) -> Figure:
    ports = free_ports(["client", "peer"])
    data = tempfile.mkdtemp(prefix="etcd-", dir=bench.directory)
    argv = [load.tool("etcd"), "--enable-v2", "--data-dir", data, "--log-level", "error"]
    argv += ["--listen-client-urls", f"http://127.0.0.1:{ports['client']}"]
    argv += ["--advertise-client-urls", f"http://127.0.0.1:{ports['client']}"]
    argv += ["--listen-peer-urls", f"http://127.0.0.1:{ports['peer']}"]
    argv += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{ports['peer']}"]
    argv += ["--initial-cluster", f"default=http://127.0.0.1:{ports['peer']}"]
    with running(argv, bench.directory, port=ports["client"]) as etcd:
        address = ("127.0.0.1", ports["client"])
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        etcd.wait(
            "etcd takes writes",
            lambda: http_request(address, "PUT", "/v2/keys/x", headers=form, body=b"value=1").status in (200, 201),
        )
        return bench.turns(
            lambda: load.wrk(bench.agent.ports["http"], "/", bench.seconds, connections=64, script="kv-put.lua"),
            lambda: load.wrk(ports["client"], "/", bench.seconds, connections=64, script="etcd-put.lua"),
            "w/s",
            "etcd 3.4, form PUT on /v2/keys",
        )


@row("one change to 500 watchers of 1,000 instances", 1.5, at_most=True)
def fan_out(bench: Bench) -> Figure:
    path = "/v1/health/service/big?passing"
    port = bench.yardstick("fanout", bench.body(path))
    turn = iter(range(1000))

    def ours() -> float:
        changed = instance("big", 0)
        changed["Service"]["Meta"]["version"] = f"1.3.{next(turn)}"
        index = bench.agent.http("GET", path).headers["x-consul-index"]
        blocking = f"{path}&index={index}&wait=60s"
        body = json.dumps(changed)
        return load.last_watcher(bench.agent.ports["http"], WATCHERS, blocking, "PUT", "/v1/catalog/register", body)[0]

    def theirs() -> float:
        return load.last_watcher(port, WATCHERS, path, "GET", "/fire")[0]

    return bench.turns(ours, theirs, "s", "bare aiohttp handler, same bytes")


@row("catalog registrations, 64 clients", 1.0)
def register(bench: Bench) -> Figure:
    """An agent of its own: what it registers would weigh on the other rows."""
    with AgentProcess.server({"limits": {"http_max_conns_per_client": 2000}, "log_level": "WARN"}) as agent:
        figures = [
            load.wrk(
                agent.ports["http"], "/", bench.seconds, connections=64, script="register.lua", round_name=str(turn)
            )
            for turn in range(bench.rounds)
        ]
    return absolute(statistics.median(figures), 5000, "w/s", "5,000 a second")


# -- start and rest --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def dev_agent() -> Iterator[tuple[AgentProcess, float]]:
    """A -dev agent, and the seconds from its start to the first answer over HTTP and DNS."""
    ports = free_ports()
    args = ["agent", "-dev", "-log-level", "warn"]
    args += [word for name, port in ports.items() for word in (f"-{name.replace('_', '-')}-port", str(port))]
    packet = question_bytes({"name": "consul.service.consul", "type": "A"})
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        agent = AgentProcess(args=args, ports=ports, directory=Path(directory))
        agent.start(ready=False)
        try:
            agent.wait(
                "the first answer over HTTP",
                lambda: (
                    accepts(ports["http"]) and agent.http("GET", "/v1/catalog/service/consul").body not in (b"", b"[]")
                ),
                every_s=0.005,
            )
            agent.wait("the first answer over DNS", lambda: agent.dns(packet, timeout_s=0.2), every_s=0.005)
            yield agent, time.monotonic() - agent.started_at
        finally:
            agent.stop()


@row("start of -dev to the first answer", 1.0, at_most=True)
def start_up(bench: Bench) -> Figure:
    seconds = []
    for _ in range(bench.rounds + 2):
        with dev_agent() as (_, took):
            seconds.append(took)
    return absolute(statistics.median(seconds), 0.7, "s", "0.7 s")


@row("resident memory of an idle -dev", 1.0, at_most=True)
def idle_memory(bench: Bench) -> Figure:
    with dev_agent() as (agent, _):
        time.sleep(max(3.0, bench.seconds))
        status = Path(f"/proc/{agent.pid}/status").read_text()
        kib = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    return absolute(kib * 1024 / 1e6, 60, "MB", "60 MB")


# -- the run ---------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of agent and yardstick (default 3)")
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement (default 2)")
    parser.add_argument("--only", "--row", action="append", default=[], help="rows whose name contains this")
    parser.add_argument("--list", action="store_true", help="the rows, and what they must reach")
    options = parser.parse_args()
    rows = [
        one
        for one in ROWS
        if any(part in one.name for part in options.only) or (not options.only and not one.asked_for)
    ]
    if options.list:
        for one in ROWS:
            print(f"{one.name:18} {one.what:48} {'<=' if one.at_most else '>='} {one.reach:g}")
        return 0
    results = []
    print(head(), flush=True)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        bench = Bench(options.rounds, options.seconds, directory, stack)
        for one in rows:
            result = measured(one, bench)
            results.append(result)
            print(line(result), flush=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "rounds": options.rounds, "rows": results}, indent=1) + "\n")
    missed = [result["name"] for result in results if result["verdict"] != "ok"]
    print(
        f"\n{len(results) - len(missed)} of {len(results)} rows reached; {RESULTS.name} has the figures"
        + (f"; missed: {', '.join(missed)}" if missed else "")
    )
    return 1 if missed else 0


def measured(one: Row, bench: Bench) -> dict[str, Any]:
    result: dict[str, Any] = {"name": one.name, "what": one.what, "reach": one.reach, "at_most": one.at_most}
    try:
        figure = one.measure(bench)
    except (load.NotMeasured, AssertionError, OSError, subprocess.SubprocessError) as problem:
        return {**result, "verdict": "not measured", "problem": str(problem)[:2000]}
    reached = figure.ratio <= one.reach if one.at_most else figure.ratio >= one.reach
    return {
        **result,
        "measured": figure.measured,
        "yardstick": figure.yardstick,
        "unit": figure.unit,
        "against": figure.against,
        "ratio": figure.ratio,
        "verdict": "ok" if reached else "missed",
    }


def head() -> str:
    return f"{'what':47} {'measured':>12} {'yardstick':>12} {'unit':5} {'ratio':>6} {'reach':>8}  verdict; against"


def line(result: dict[str, Any]) -> str:
    reach = f"{'<=' if result['at_most'] else '>='} {result['reach']:g}"
    if "ratio" not in result:
        return f"{result['what']:47} {'':45} {reach:>8}  {result['verdict']}: {result['problem'].splitlines()[0][:120]}"
    return (
        f"{result['what']:47} {number(result['measured'])} {number(result['yardstick'])} {result['unit']:5}"
        f" {result['ratio']:6.2f} {reach:>8}  {result['verdict']}; {result['against']}"
    )


def number(value: float) -> str:
    return f"{value:12,.0f}" if value >= 1000 else f"{value:12.3f}"


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": os.getloadavg(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


if __name__ == "__main__":
    sys.exit(main())
