"""The rows of `make bench`: what one is, how it is measured in turns with its yardstick, and the agent they share.

Adding a row: one function with `@row` in run.py (one agent) or cluster.py (three servers).
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshtest import load
from meshtest.dnstext import question_bytes
from meshtest.peers import running
from meshtest.process import AgentProcess, free_ports

HERE = Path(__file__).parent
INSTANCES = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One row's outcome. `ratio` compares with the yardstick; a row without one compares with its absolute reach."""

    measured: float
    yardstick: float
    unit: str
    against: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    what: str
    reach: float  # the ratio that must be reached
    at_most: bool  # whether less is better
    measure: Callable[[Bench], Figure]
    asked_for: bool  # minutes long: only with --only


ROWS: list[Row] = []


def row(
    what: str, reach: float, *, at_most: bool = False, asked_for: bool = False
) -> Callable[[Callable[[Bench], Figure]], None]:
    def add(measure: Callable[[Bench], Figure]) -> None:
        ROWS.append(Row(measure.__name__, what, reach, at_most, measure, asked_for))

    return add


@dataclass(slots=True)
class Bench:
    """What the rows share: the loaded agent, the yardsticks that run, and how long to measure."""

    rounds: int
    seconds: float
    directory: Path
    stack: contextlib.ExitStack
    _agent: AgentProcess | None = None
    _yardsticks: dict[tuple[str, bytes], int] = field(default_factory=dict)

    @property
    def agent(self) -> AgentProcess:
        """A durable server with `web` (3 instances) and `big` (1,000), started on first use."""
        if self._agent is None:
            limits = {"limits": {"http_max_conns_per_client": 2000}, "log_level": "WARN"}
            self._agent = self.stack.enter_context(AgentProcess.server(limits))
            for service, count in (("web", 3), ("big", INSTANCES)):
                for at in range(count):
                    self._agent.put("/v1/catalog/register", instance(service, at))
            self._agent.put("/v1/kv/x", body=b"0123456789abcdef")
        return self._agent

    def answer(self, name: str, kind: str) -> bytes:
        wire = self.agent.dns(question_bytes({"name": name, "type": kind}))
        if wire is None:
            raise load.NotMeasured(f"no answer to {name} {kind}")
        return wire

    def body(self, path: str) -> bytes:
        answer = self.agent.http("GET", path)
        if answer.status != 200 or len(answer.body) < 10:
            raise load.NotMeasured(f"{path}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    def yardstick(self, kind: str, content: bytes) -> int:
        """The port of a bare server of constant bytes."""
        if (kind, content) not in self._yardsticks:
            port = free_ports(["bare"])["bare"]
            path = self.directory / f"{kind}-{port}"
            path.write_bytes(content)
            argv = [sys.executable, "-P", str(HERE / "yardsticks.py"), kind, str(port), str(path)]
            tcp = None if kind == "dns" else port
            self.stack.enter_context(running(argv, self.directory, port=tcp))
            if kind == "dns":
                time.sleep(0.5)
            self._yardsticks[kind, content] = port
        return self._yardsticks[kind, content]

    def questions(self, *lines: str) -> Path:
        path = self.directory / f"questions-{abs(hash(lines))}"
        if not path.exists():
            path.write_text("\n".join(lines) + "\n")
        return path

    def turns(self, ours: Callable[[], float], theirs: Callable[[], float], unit: str, against: str) -> Figure:
        """Both in turns. The ratio is the median of the turns' ratios: what slows a whole turn down cancels out."""
        pairs = [(ours(), theirs()) for _ in range(self.rounds)]
        return Figure(
            statistics.median(one for one, _ in pairs),
            statistics.median(other for _, other in pairs),
            unit,
            against,
            statistics.median(one / other for one, other in pairs),
        )

    def dns_row(self, questions: Path, bare: bytes, rcodes: str = "NOERROR") -> Figure:
        bare_port = self.yardstick("dns", bare)
        return self.turns(
            lambda: load.dnsperf(self.agent.ports["dns"], questions, self.seconds, rcodes),
            lambda: load.dnsperf(bare_port, questions, self.seconds),
            "q/s",
            "bare recvfrom/sendto loop",
        )

    def http_row(self, path: str) -> Figure:
        bare_port = self.yardstick("http", self.body(path))
        return self.turns(
            lambda: load.wrk(self.agent.ports["http"], path, self.seconds),
            lambda: load.wrk(bare_port, path, self.seconds),
            "r/s",
            "bare aiohttp handler",
        )


def absolute(measured: float, reach: float, unit: str, against: str) -> Figure:
    return Figure(measured, reach, unit, against, measured / reach)


def instance(service: str, at: int) -> dict[str, Any]:
    name = f"{service}-{at:04}"
    return {
        "Node": f"node-{name}",
        "Address": f"10.{0 if service == 'web' else 1}.{at // 250}.{at % 250 + 1}",
        "Service": {"ID": name, "Service": service, "Port": 8000 + at, "Tags": ["v1"], "Meta": {"version": "1.2.3"}},
        "Check": {"CheckID": f"service:{name}", "Name": "alive", "Status": "passing", "ServiceID": name},
    }
