"""I/O edge: instances behind the mesh are replaced one after the other while requests come at an even rate.

`bench/run.py --row mesh_rolling_deploy`. What is counted are requests that failed; at layer 7 the clients keep their
connections, at layer 4 each request has its own, for who keeps a connection there keeps its instance.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from meshtest.load import NotMeasured
from meshtest.meshpeers import nginx
from meshtest.process import AgentProcess, free_ports
from meshtest.rolling import Rolling
from meshtest.sidecars import sidecars

from bench.table import Bench, Figure, row

HERE = Path(__file__).parent
RATE = 500
DEPLOYS = 4


def _application() -> tuple[int, Callable[[], None]]:
    stack = contextlib.ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-app-")))
    port = free_ports(["http"])["http"]
    stack.enter_context(nginx(folder, port))
    return port, stack.close


def _deploys(bench: Bench, protocol: str, connections: int) -> Figure:
    with contextlib.ExitStack() as stack:
        agent = stack.enter_context(AgentProcess.server({"log_level": "WARN"}))
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name in ("api", "web"):
            entry = {"Kind": "service-defaults", "Name": name, "Protocol": protocol}
            assert agent.put("/v1/config", entry).status == 200
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-deploy-")))
        mesh = stack.enter_context(sidecars(agent, folder))
        rolling = Rolling(mesh, "api", "web", _application)
        stack.callback(rolling.stop)
        rolling.begin("api-1")
        rolling.begin("api-2")
        ports = free_ports(["web", "in"])
        mesh.register("web", 9, {"api": ports["web"]}, sidecar_port=ports["in"])
        mesh.start("web")
        agent.wait("both instances", lambda: rolling.known() == {"api-1", "api-2"})
        seconds = max(12.0, 4 * bench.seconds)
        argv = [sys.executable, "-P", str(HERE / "paced.py"), str(ports["web"]), str(RATE), str(connections)]
        load = subprocess.Popen([*argv, str(seconds)], stdout=subprocess.PIPE, text=True)
        started = time.monotonic()
        done = 0
        while done < DEPLOYS and load.poll() is None:
            rolling.deploy(f"api-{1 + done % 2}")
            done += load.poll() is None
        took = (time.monotonic() - started) / max(1, done)
        printed, _ = load.communicate(timeout=seconds + 60)
        if load.returncode != 0 or not done:
            raise NotMeasured(f"no deploy within the load: {printed}")
        result = json.loads(printed)
        told = f"{done} deploys of {took:.1f} s, p99 {result['p99_ms']:.1f} ms {' '.join(result['why'])}"
        failed = result["failed"]
        return Figure(failed, 0, "lost", f"0 of {RATE * seconds:,.0f} requests; {told}", float(failed))


@row("requests lost in rolling deploys at 500 r/s, layer 7", 0.0, at_most=True, asked_for=True)
def mesh_rolling_deploy(bench: Bench) -> Figure:
    return _deploys(bench, "http", 16)


@row("requests lost in rolling deploys at 500 r/s, layer 4", 0.0, at_most=True, asked_for=True)
def mesh_rolling_deploy_l4(bench: Bench) -> Figure:
    return _deploys(bench, "tcp", 0)
