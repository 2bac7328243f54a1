"""Rows about writes beside writes: transactions, and keys while thousands of sessions are renewed."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from meshtest import load
from meshtest.process import AgentProcess

from bench.renewals import SESSIONS
from bench.table import HERE, Bench, Figure, row

OPERATIONS = 64


def _puts(bench: Bench, agent: AgentProcess) -> float:
    return load.wrk(agent.ports["http"], "/", bench.seconds, connections=64, script="kv-put.lua")


@row("sets in transactions of 64, 64 clients", 0.5)
def txn(bench: Bench) -> Figure:
    def ours() -> float:
        return OPERATIONS * load.wrk(bench.agent.ports["http"], "/", bench.seconds, connections=64, script="kv-txn.lua")

    return bench.turns(ours, lambda: _puts(bench, bench.agent), "w/s", "single PUTs")


@row(f"PUT while {SESSIONS:,} sessions are renewed", 0.8)
def sessions(bench: Bench) -> Figure:
    """Each session is renewed twice in its TTL of 10 s, by a process of its own; none may end meanwhile."""
    agent = bench.agent
    quiet = [_puts(bench, agent) for _ in range(bench.rounds)]
    with _renewed(agent) as ids:
        beside = [_puts(bench, agent) for _ in range(bench.rounds)]
    left = {one["ID"] for one in agent.get("/v1/session/list")}
    if lost := len(set(ids) - left):
        raise load.NotMeasured(f"{lost} sessions ended although they were renewed")
    for one in ids:
        agent.put(f"/v1/session/destroy/{one}")
    before, after = statistics.median(quiet), statistics.median(beside)
    return Figure(after, before, "w/s", "without sessions", after / before)


@contextlib.contextmanager
def _renewed(agent: AgentProcess) -> Iterator[list[str]]:
    argv = [sys.executable, "-P", str(HERE / "renewals.py"), str(agent.ports["http"])]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as renewer:
        assert renewer.stdin is not None
        assert renewer.stdout is not None
        ids = json.loads(renewer.stdout.readline())
        if renewer.stdout.readline() != "one round\n":
            raise load.NotMeasured("the sessions could not be renewed")
        yield ids
        renewer.stdin.close()
