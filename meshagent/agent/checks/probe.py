"""What a probe is: a coroutine function without arguments that answers with a status and an output.

`prepare(definition, tools)` of a check type's module turns a definition into a `Probe` once, so that what can be done
ahead (parsing the URL, building the request) is not done on each run. `Tools` is what a probe may use of the agent.

Values that live as long as a check and hold no containers are structs without garbage collection: ten thousand checks
are otherwise a hundred thousand objects for each full collection to visit.

Source: surface rows K1-K20 and G22. What may be changed here: a probe answers, it does not raise; what goes wrong at
the target is a critical outcome with a clear output. `ProbeFailed` is how the parts of a probe say so to each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.checks.output import DEFAULT_MAX_SIZE
from meshagent.errors import MeshError

if TYPE_CHECKING:
    import asyncio

    from meshagent.agent.checks.dial import Dialer
    from meshagent.agent.checks.os_service import UnitStates
    from meshagent.agent.checks.tls import AgentTls

__all__ = ["CRITICAL", "PASSING", "WARNING", "CheckSettings", "Outcome", "Probe", "ProbeFailed", "Tools", "critical"]

PASSING = "passing"
WARNING = "warning"
CRITICAL = "critical"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one run of a check found."""

    status: str
    output: str
    lingering: asyncio.Event | None = None
    """What still has to end before the check may run again: a killed process that the kernel holds on to."""


Probe = Callable[[], Awaitable[Outcome]]


class ProbeFailed(MeshError):
    """The target did not answer as it should; `str()` is the output of the check."""


def critical(output: str) -> Outcome:
    """An outcome for a failure."""
    return Outcome(CRITICAL, output)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """The agent's options for checks (surface row G22)."""

    output_max_size: int = DEFAULT_MAX_SIZE
    """`check_output_max_size`, bytes."""
    discard_check_output: bool = False
    agent_tls: AgentTls | None = None
    """The agent's certificate, present only with `enable_agent_tls_for_checks` (K20)."""
    docker_host: str = ""
    """`DOCKER_HOST`; empty means unix:///var/run/docker.sock."""
    max_socket_probes: int = 512
    """Network probes in flight. An idle one costs a socket and a few kilobytes, and a hanging target holds its place
    for the whole timeout: with 10,000 checks each 10 s, 5 % of them hanging for 10 s already need 250 places. 512
    stays below the usual 1,024 file descriptors of a process."""
    max_process_probes: int = 32
    """Scripts and container commands in flight; each is a process."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What `prepare` gets beside the definition."""

    dialer: Dialer
    unit_states: UnitStates
    settings: CheckSettings = field(default_factory=CheckSettings)
