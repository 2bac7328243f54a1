"""From results to a published status: thresholds, and which services have been critical for too long.

Source: surface rows K3 and K4; developer.hashicorp.com/consul/docs/services/usage/checks, "Success/failures before
passing/warning/critical". Pure values: a result and the counters go in, the new counters and what to publish come out.

What may be changed here: nothing of the order of the rules; the first result of a check is always published.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from meshagent.agent.checks.definition import Definition
from meshagent.agent.checks.probe import CRITICAL, PASSING, WARNING

__all__ = ["Counters", "CriticalCheck", "Reap", "Thresholds", "reap", "step"]


class Thresholds(msgspec.Struct, frozen=True, gc=False):
    """Consecutive results needed before a status is published; 0 and 1 both mean "at once"."""

    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0

    @classmethod
    def of(cls, definition: Definition) -> Thresholds:
        """Those of a check."""
        return cls(
            success_before_passing=definition.success_before_passing,
            failures_before_warning=definition.warns_from,
            failures_before_critical=definition.failures_before_critical,
        )


class Counters(msgspec.Struct, frozen=True, gc=False):
    """Consecutive successes and failures so far."""

    successes: int
    failures: int

    @classmethod
    def start(cls, thresholds: Thresholds) -> Counters:
        """Both already reached, so that the first result counts at once, whatever it is."""
        return cls(thresholds.success_before_passing, thresholds.failures_before_critical)


def step(thresholds: Thresholds, counters: Counters, status: str) -> tuple[Counters, str | None]:
    """The counters after a result, and the status to publish (None: nothing changes, not even the output).

    Passing and warning results both count as success, as in Consul.
    """
    if status in (PASSING, WARNING):
        after = Counters(counters.successes + 1, 0)
        return after, status if after.successes >= thresholds.success_before_passing else None
    after = Counters(0, counters.failures + 1)
    if after.failures >= thresholds.failures_before_critical:
        return after, CRITICAL
    if after.failures >= thresholds.failures_before_warning:
        return after, WARNING
    return after, None


@dataclass(frozen=True, slots=True)
class CriticalCheck:
    """A check that is critical now and wants its service removed."""

    check_id: str
    service_id: str
    critical_since: float
    """Monotonic seconds."""
    deregister_after_s: float
    """`DeregisterCriticalServiceAfter`; 0 = never."""


@dataclass(frozen=True, slots=True)
class Reap:
    """A service to remove, and why."""

    service_id: str
    check_id: str
    reason: str


def reap(checks: Iterable[CriticalCheck], now: float, floor_s: float) -> list[Reap]:
    """The services to remove at monotonic second `now`, each once, in the order of the checks.

    None is removed before `floor_s`, whatever its check says (`check_deregister_interval_min`, surface row G22).
    """
    out: dict[str, Reap] = {}
    for check in checks:
        if not check.service_id or check.deregister_after_s <= 0 or check.service_id in out:
            continue
        critical_for = now - check.critical_since
        if critical_for > max(check.deregister_after_s, floor_s):
            reason = f"check {check.check_id} has been critical for {critical_for:.0f}s"
            out[check.service_id] = Reap(check.service_id, check.check_id, reason)
    return list(out.values())
