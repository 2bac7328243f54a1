"""I/O edge: a recorded scenario with a real agent and real Envoys: what they hold is what was recorded.

The ports of a recording are literal; here they stand for free ones. Source: tests/data/golden/mesh/README.md. What may
change here: how ports are told from other numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshtest.envoyreplay import Deviation, Difference, Recorded, concrete, held_differences
from meshtest.envoys import envoys
from meshtest.process import AgentProcess, free_ports, sidecar_ports

__all__ = ["DIALS_ITSELF", "played"]

#: Ports of recordings: of proxies, upstreams, gateways and applications on the host.
_PORT = re.compile(r"(?<![\d.])(27\d{3}|18\d{3})(?![\d.])")
_NUMBER = re.compile(r"(?<![\d.])\d{5}(?![\d.])")
#: With us a service may dial itself in transparent mode, so its Envoy holds more than what was recorded.
DIALS_ITSELF = frozenset({"permissive-mtls", "transparent-mesh-only"})


def played(recorded: Recorded, folder: Path, allowed: Sequence[Deviation] = ()) -> list[str]:
    """What is wrong in the end: differences that are not `allowed`, updates that an Envoy rejected."""
    numbers = sorted(set(_PORT.findall(json.dumps([recorded.inputs, recorded.proxies]))))
    ports = {number: str(port) for number, port in free_ports(numbers).items()}
    back = {port: number for number, port in ports.items()}
    inputs = json.loads(_PORT.sub(lambda found: ports[found[1]], json.dumps(recorded.inputs)))

    with _agent(recorded) as agent, envoys(agent, folder) as running:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for one in inputs:
            answer = agent.http(one["method"], one["path"], json=concrete(one.get("body"), folder))
            assert answer.status == 200, f"{one['path']}: {answer}"
        for proxy in recorded.proxies:
            running.start(proxy, "-proxy-id", proxy)
        domain = agent.get("/v1/connect/ca/roots")["TrustDomain"]

        def found() -> list[Difference]:
            held: dict[str, Any] = {}
            for proxy in recorded.proxies:
                text = json.dumps(running.holds(proxy))
                held[proxy] = json.loads(_NUMBER.sub(lambda at: back.get(at[0], at[0]), text))
            differing = held_differences(recorded, held, domain, folder)
            return [one for one in differing if not any(row.covers(one) for row in allowed)]

        if recorded.name in DIALS_ITSELF:
            running.ready()
        else:
            try:
                running.wait("what was recorded", lambda: not found(), within_s=60.0)
            except AssertionError:
                return [*map(str, found()), *map(str, running.rejected().items())] or ["it came about late"]
        return [f"{stat} {value}" for stat, value in running.rejected().items()]


def _agent(recorded: Recorded) -> AgentProcess:
    """An agent with the options of the recording; what it has of ports is beside free ones."""
    ports = free_ports()
    options = {"node_name": "golden", **recorded.config}
    if "ports" in options:
        options["ports"] = {**ports, **sidecar_ports(), **options["ports"]}
    return AgentProcess.server(options, ports=ports)
