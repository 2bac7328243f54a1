"""Which part of the traffic each priority takes: the first takes all while it can.

A priority can take 1.4 times its usable part (so 72 % usable is still everything); what is left goes to the next.

Source: Envoy's architecture overview, "priority levels", "panic threshold", "overprovisioning factor" (140, as Consul's
clusters have it). Consul sets the panic threshold to 0: traffic is never sent to hosts known to be bad. What may change
here: nothing that is seen outside.
"""

from __future__ import annotations

__all__ = ["OVERPROVISIONING", "loads", "panics"]

OVERPROVISIONING = 1.4


def loads(counts: list[tuple[int, int]]) -> list[float]:
    """Percent of traffic by priority, from (usable, all) hosts of each; all 0 when nobody is usable."""
    available = _available(counts)
    total = min(100.0, sum(available))
    if not total:
        return [0.0] * len(counts)
    left, found = 100.0, []
    for one in available:
        load = min(left, one * 100.0 / total)
        found.append(load)
        left -= load
    return found


def panics(counts: list[tuple[int, int]], threshold_percent: float) -> list[bool]:
    """Whether all hosts of a priority are used, as too few are usable to believe it."""
    if threshold_percent <= 0 or sum(_available(counts)) >= 100.0:
        return [False] * len(counts)
    return [bool(all_) and usable * 100.0 < threshold_percent * all_ for usable, all_ in counts]


def _available(counts: list[tuple[int, int]]) -> list[float]:
    return [min(100.0, OVERPROVISIONING * 100.0 * usable / all_) if all_ else 0.0 for usable, all_ in counts]
