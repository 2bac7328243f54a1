"""I/O edge: replays one golden scenario against a fresh agent and says which steps match.

Source: tests/data/golden/README.md. `Replay` talks through a `Transport`, so the whole of it also runs against the
recorded answers themselves (tests/conformance/test_replay.py).
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from meshtest.clients import DNS_NO_REPLY_S
from meshtest.dnstext import answer_of, question_bytes
from meshtest.golden import Answer, DnsAnswer, match_dns, match_http, wait_of
from meshtest.indexes import out_of_order
from meshtest.placeholders import Bindings
from meshtest.process import READY_S, AgentFailed, AgentProcess, free_ports
from meshtest.scenario import Scenario, request_body

MEANWHILE_S = 0.4
"""From sending a blocking request to running its `meanwhile` steps."""


class Transport(Protocol):
    def http(
        self, step: dict[str, Any], method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> Answer: ...

    def dns(self, step: dict[str, Any]) -> DnsAnswer: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Mismatch:
    number: int
    row: str
    request: str
    differences: list[str]
    note: str = ""


@dataclass(slots=True)
class Outcome:
    """What one scenario gave: `total` answers, the mismatches among them, and remarks (readiness, index order)."""

    name: str
    total: int
    mismatches: list[Mismatch] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    on_purpose: frozenset[int] = frozenset()  # steps that tests/conformance/differences.toml lists

    @property
    def matched(self) -> int:
        return self.total - len(self.mismatches)

    @property
    def intended(self) -> int:
        """Mismatches that are listed as differing on purpose."""
        return sum(1 for one in self.mismatches if one.number in self.on_purpose)

    @property
    def percent(self) -> float:
        """What matches or differs on purpose, of all."""
        return 100.0 * (self.matched + self.intended) / self.total if self.total else 100.0

    @property
    def unbuilt(self) -> int:
        """Mismatches because the endpoint is not built yet: the agent said so with 501."""
        return sum(1 for one in self.mismatches if any("got 501" in text for text in one.differences))

    @property
    def percent_of_built(self) -> float:
        built = self.total - self.unbuilt
        return 100.0 * (self.matched + self.intended) / built if built else 100.0


class Replay:
    """Runs the steps in order and gathers differences; one object a scenario."""

    def __init__(self, scenario: Scenario, transport: Transport, bindings: Bindings) -> None:
        self._scenario = scenario
        self._transport = transport
        self._bindings = bindings
        self._failed: dict[int, Mismatch] = {}

    def run(self) -> list[Mismatch]:
        number = 0
        for step in self._scenario.steps:
            meanwhile = step.get("meanwhile", [])
            if "sleep" in step:
                self._transport.sleep(step["sleep"])
            elif meanwhile:
                self._blocked(number, step, meanwhile)
            else:
                self._answered(number, step, lambda step=step: self._ask(step))
            number += 1 + len(meanwhile)
        steps = dict(self._scenario.numbered())
        for seen in out_of_order(self._bindings.indexes):
            if seen.step not in self._failed:
                self._fail(seen.step, steps[seen.step], [f"<index:{seen.number}> is {seen.value}: out of order"])
        return [self._failed[number] for number in sorted(self._failed)]

    def _blocked(self, number: int, step: dict[str, Any], meanwhile: Sequence[dict[str, Any]]) -> None:
        result: list[Answer | DnsAnswer] = []
        asked = self._bindings.fill(step["request"])
        thread = threading.Thread(target=lambda: result.append(self._ask(step, asked)), daemon=True)
        started = time.monotonic()
        thread.start()
        self._transport.sleep(max(0.0, MEANWHILE_S - (time.monotonic() - started)))
        for offset, inner in enumerate(meanwhile, start=1):
            self._answered(number + offset, inner, lambda inner=inner: self._ask(inner))
        thread.join()
        self._answered(number, step, lambda: result[0], once=True)

    def _answered(
        self, number: int, step: dict[str, Any], ask: Callable[[], Answer | DnsAnswer], *, once: bool = False
    ) -> None:
        deadline = time.monotonic() + (0 if once else step.get("eventually", 0))
        pause_s = 0.05
        while True:
            answer = ask()
            self._bindings.step = number
            differences = self._judge(step, answer)
            if not differences:
                return
            if time.monotonic() >= deadline:
                break
            self._transport.sleep(pause_s)
            pause_s = min(0.5, pause_s * 1.5)
        self._guess(step, answer)
        self._fail(number, step, differences)

    def _judge(self, step: dict[str, Any], answer: Answer | DnsAnswer) -> list[str]:
        if isinstance(answer, DnsAnswer):
            return match_dns(step, answer, self._bindings)
        if answer.status == 0:
            return [f"no answer: {answer.body.decode(errors='replace')}"]
        differences = match_http(step, answer, self._bindings)
        wait_s = wait_of(step["request"]["path"])
        unwoken = "meanwhile" in step and not step["response"].get("woken") and wait_s is not None
        if not differences and unwoken and wait_s is not None and answer.elapsed_s < wait_s * 0.9:
            differences = [f"woken after {answer.elapsed_s:.2f} s by a write that should not wake it (wait {wait_s} s)"]
        return differences

    def _guess(self, step: dict[str, Any], answer: Answer | DnsAnswer) -> None:
        if isinstance(answer, Answer):
            import json

            with contextlib.suppress(ValueError):
                self._bindings.bind_weakly(step["response"].get("json"), json.loads(answer.body))
            lower = {name.lower(): value for name, value in step["response"].get("headers", {}).items()}
            self._bindings.bind_weakly(lower, answer.headers)

    def _fail(self, number: int, step: dict[str, Any], differences: list[str]) -> None:
        self._failed[number] = Mismatch(number, step.get("row", ""), describe(step), differences, step.get("note", ""))

    def _ask(self, step: dict[str, Any], filled: dict[str, Any] | None = None) -> Answer | DnsAnswer:
        request = step["request"]
        if "dns" in request:
            return self._transport.dns(step)
        filled = filled or self._bindings.fill({key: request[key] for key in ("path", "headers") if key in request})
        try:
            return self._transport.http(
                step,
                request["method"],
                str(filled["path"]),
                filled.get("headers", {}),
                request_body(request, self._bindings),
            )
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, {}, repr(error).encode())


def describe(step: dict[str, Any]) -> str:
    request = step["request"]
    if "dns" in request:
        query = request["dns"]
        return "DNS " + (
            f"raw {query['raw'][:60]}" if "raw" in query else " ".join(f"{k}={v}" for k, v in query.items())
        )
    body = next((f" {key}={str(request[key])[:300]}" for key in ("json", "body") if key in request), "")
    token = " (token)" if "X-Consul-Token" in request.get("headers", {}) else ""
    return f"{request['method']} {request['path']}{token}{body}"


class LiveTransport:
    """To a running agent."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent

    def http(self, step: dict[str, Any], method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        wait_s = wait_of(path) or 0.0
        timeout_s = wait_s + 3.0 if step["response"].get("woken") else wait_s * 1.1 + 10.0
        return self._agent.http(method, path, headers=headers, body=body, timeout_s=timeout_s)

    def dns(self, step: dict[str, Any]) -> DnsAnswer:
        query = step["request"]["dns"]
        timeout_s = DNS_NO_REPLY_S if step["response"].get("reply") is False else 3.0
        wire = self._agent.dns(question_bytes(query), tcp=query.get("tcp", False), timeout_s=timeout_s)
        return answer_of(wire, check_id="raw" not in query)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def replay(scenario: Scenario, *, command: Sequence[str] | None = None, keep: bool = False) -> Outcome:
    """Start a fresh agent, replay, stop it. A scenario whose agent does not start matches nothing."""
    outcome = Outcome(scenario.name, scenario.total)
    started = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix=f"golden-{scenario.name}-"))
    bindings = Bindings(ports=free_ports(), directory=str(directory))
    agent = AgentProcess(bindings.fill(scenario.config), command=command, ports=bindings.ports, directory=directory)
    try:
        agent.start(ready=False)
        outcome.remarks += wait_ready(agent, scenario.ready, scenario.config["node_name"])
        outcome.mismatches = Replay(scenario, LiveTransport(agent), bindings).run()
        if not agent.alive:
            outcome.remarks.append(f"the agent died:\n{agent.log()[-3000:]}")
        outcome.remarks += [f"log: {line}" for line in agent.log().splitlines() if "Traceback" in line][:5]
    except AgentFailed as failure:
        outcome.remarks.append(str(failure))
        outcome.mismatches = [
            Mismatch(number, step.get("row", ""), describe(step), ["the agent did not start"])
            for number, step in scenario.numbered()
        ]
    finally:
        agent.stop()
        if keep:
            outcome.remarks.append(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    outcome.seconds = time.monotonic() - started
    return outcome


def wait_ready(agent: AgentProcess, ready: dict[str, Any], node: str, within_s: float = READY_S) -> list[str]:
    """README, "Ready". A missing leader is fatal; anything else missing after a while is a remark."""
    headers = {"X-Consul-Token": ready["token"]} if "token" in ready else {}
    node = ready.get("node", node)
    agent.wait("a leader", lambda: agent.get("/v1/status/leader", headers=headers, timeout_s=2.0), within_s=within_s)
    if ready.get("wait") == "leader":
        time.sleep(1.5)
        return []

    def catalog_settled() -> bool:
        checks = agent.get(f"/v1/health/node/{node}", headers=headers)
        rows = agent.get(f"/v1/catalog/node/{node}", headers=headers)
        return (
            any(check["CheckID"] == "serfHealth" for check in checks)
            and "consul" in rows["Services"]
            and bool(rows["Node"]["TaggedAddresses"])
            and "consul-version" in rows["Node"]["Meta"]
        )

    remarks = []
    try:
        agent.wait("serfHealth, service consul, tagged addresses, consul-version", catalog_settled, within_s=60.0)
    except AgentFailed as failure:
        if not agent.alive:
            raise
        remarks.append(str(failure).split("\n")[0])
    roots = agent.http("GET", "/v1/connect/ca/roots", headers=headers)
    if not ready.get("no_ca") and roots.status in (200, 500):  # any other status: no certificate authority is built yet
        try:
            agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots", headers=headers)["Roots"], within_s=60.0)
        except AgentFailed as failure:
            remarks.append(str(failure).split("\n")[0])
    return remarks
