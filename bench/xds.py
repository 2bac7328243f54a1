"""The rows of Envoys over xDS: how long a change takes to all of them, and what one costs. Its own agent.

The Envoys are streams that take what they are told (`meshtest.xdsfleet`): 500 instances of one service at one agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshtest.process import AgentProcess
from meshtest.xdsfleet import Fleet

from bench.table import Bench, Figure, absolute, row
from meshagent.connect.envoy.resources import LISTENER

STREAMS = 500


@contextlib.contextmanager
def _agent() -> Iterator[AgentProcess]:
    """One with as many sidecars, and no bound on updates a second."""
    with AgentProcess.server({"log_level": "WARN", "xds": {"update_max_per_second": 0}}) as agent:
        agent.wait("roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for at in range(STREAMS):
            sidecar = {"Port": 21_000 + at, "Proxy": {"Upstreams": [{"DestinationName": "api", "LocalBindPort": 9191}]}}
            body: dict[str, Any] = {"ID": f"web-{at}", "Name": "web", "Port": 1000 + at}
            agent.put("/v1/agent/service/register", {**body, "Connect": {"SidecarService": sidecar}})
        yield agent


async def _change(agent: AgentProcess, fleet: Fleet, action: str) -> float:
    """The seconds from asking for another intention until each Envoy has it."""
    before = {member: dict(member.versions[LISTENER]) for member in fleet.members}
    loop, path = asyncio.get_running_loop(), "/v1/connect/intentions/exact?source=x&destination=web"
    begun = time.perf_counter()
    await loop.run_in_executor(None, lambda: agent.put(path, {"Action": action}))
    await fleet.all_have(lambda member: member.versions[LISTENER] != before[member])
    return time.perf_counter() - begun


def _rss_kb(agent: AgentProcess) -> int:
    return int(Path(f"/proc/{agent.pid}/status").read_text().split("VmRSS:")[1].split()[0])


@row("one intention to 500 Envoys over xDS, the last one has it", 1.0, at_most=True, asked_for=True)
def xds_fan_out(bench: Bench) -> Figure:
    async def measure(agent: AgentProcess) -> float:
        fleet = Fleet(agent.ports["grpc"], [f"web-{at}-sidecar-proxy" for at in range(STREAMS)])
        await fleet.start()
        took = [await _change(agent, fleet, action) for action in ("deny", "allow") * bench.rounds]
        await fleet.stop()
        return sorted(took)[len(took) // 2]

    with _agent() as agent:
        return absolute(asyncio.run(measure(agent)), 1.0, "s", "1 s")


@row("resident memory of an Envoy's stream, of 500", 1.0, at_most=True, asked_for=True)
def xds_memory(bench: Bench) -> Figure:
    async def measure(agent: AgentProcess) -> float:
        before = _rss_kb(agent)
        fleet = Fleet(agent.ports["grpc"], [f"web-{at}-sidecar-proxy" for at in range(STREAMS)])
        await fleet.start()
        await asyncio.sleep(2)
        after = _rss_kb(agent)
        await fleet.stop()
        return (after - before) / STREAMS

    with _agent() as agent:
        return absolute(asyncio.run(measure(agent)), 200.0, "KB", "200 KB")
