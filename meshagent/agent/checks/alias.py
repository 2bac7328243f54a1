"""Alias checks: as healthy as another service, or another node.

Source: surface row K19. A pure function over the checks of the aliased node and service. Nothing is probed: whoever
holds those checks (the local state, or a view of another node) hands them over through `AliasSource` and wakes the
check when they change; the scheduler looks again each minute in any case.

What may be changed here: nothing of the wording; the worst status wins, node checks count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from meshagent.agent.checks.definition import Definition
from meshagent.agent.checks.probe import CRITICAL, PASSING, WARNING, Outcome, critical
from meshagent.errors import MeshError

__all__ = ["REFRESH_S", "AliasSource", "AliasedCheck", "AliasedHealth", "evaluate", "look"]

#: At most this long between two looks, should a wake-up be missed.
REFRESH_S = 60.0
_SEVERITY = {WARNING: 1, CRITICAL: 2}


class AliasedCheck(Protocol):
    """The fields of `catalog.model.Check` that matter here."""

    @property
    def check_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def service_id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def output(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AliasedHealth:
    """All checks of one node, and whether the aliased service is registered there."""

    checks: Iterable[AliasedCheck]
    service_exists: bool


class AliasSource(Protocol):
    """Who knows the checks of a node."""

    def __call__(self, node: str, service_id: str) -> AliasedHealth:
        """The checks of `node` ("" = this agent's own).

        Raises:
            MeshError: the node's checks cannot be read now.
        """


def evaluate(health: AliasedHealth, check_id: str, node: str, service_id: str) -> Outcome:
    """The status of alias check `check_id`.

    Critical beats warning beats passing, the first of a kind is named. The check itself does not count: a node-level
    alias is a node check, too, and would keep itself critical for ever.
    """
    found = service_seen = False
    failing: AliasedCheck | None = None
    worst = 0
    for check in health.checks:
        if check.service_id and check.service_id != service_id:
            continue
        if check.check_id == check_id:
            continue
        found = True
        service_seen = service_seen or bool(check.service_id)
        if (severity := _SEVERITY.get(check.status, 0)) > worst:
            worst, failing = severity, check
    if service_id and not service_seen and not health.service_exists:
        return critical(f"Service {service_id} could not be found on node {node}")
    if failing is None:
        return Outcome(PASSING, "All checks passing." if found else "No checks found.")
    quoted = json.dumps(failing.name, ensure_ascii=False)
    return Outcome(failing.status, f"Aliased check {quoted} failing: {failing.output}")


def look(source: AliasSource, check_id: str, definition: Definition) -> Outcome:
    """Evaluate an alias check against what `source` says now."""
    node, service_id = definition.alias_node, definition.alias_service
    try:
        return evaluate(source(node, service_id), check_id, node, service_id)
    except MeshError as error:
        return critical(f"Failure checking aliased node or service: {error}")
