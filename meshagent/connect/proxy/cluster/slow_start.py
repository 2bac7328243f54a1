"""What share of its weight a new instance gets: little at first, all of it after a window.

Source: Envoy's architecture overview, "slow start mode" (aggression 1.0, least share 10 %). What may change here: the
curve.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.connect.proxy.cluster.host import Host

__all__ = ["LEAST_SHARE", "ends", "share"]

LEAST_SHARE = 0.1


def share(host: Host, window_s: float, now: float) -> float:
    """LEAST_SHARE .. 1: the part of its weight that counts now. A window of 0 is no slow start."""
    age_s = now - host.since
    if age_s >= window_s:
        return 1.0
    return max(LEAST_SHARE, age_s / window_s)


def ends(hosts: Iterable[Host], window_s: float, now: float) -> float:
    """When the last of them has started, `now` or before when all have."""
    return max((host.since + window_s for host in hosts), default=now) if window_s else now
