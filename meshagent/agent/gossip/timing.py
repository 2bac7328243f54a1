"""The arithmetic of SWIM and Lifeguard: how long, for a pool of n nodes.

Source: surface rows S21, S25; golden README sections 9, 10; "Lifeguard: Local Health Awareness for More Accurate
Failure Detection" (Dadgar, Phillips, Currey, 2017), sections IV.A to IV.C; memberlist's util for the roundings. Pure.
"""

from __future__ import annotations

import math

__all__ = ["push_pull_interval_s", "remaining_suspicion_s", "suspicion_timeout_s"]

#: Above this many nodes full exchanges become rarer.
_PUSH_PULL_SCALE_NODES = 32


def suspicion_timeout_s(mult: int, n: int, interval_s: float) -> float:
    """The least time that a node stays suspect: mult * max(1, log10 n) * interval, the factor cut to 3 decimals."""
    scale = max(1.0, math.log10(max(1, n)))
    return mult * math.floor(scale * 1000) / 1000 * interval_s


def remaining_suspicion_s(confirmations: int, k: int, elapsed_s: float, low_s: float, high_s: float) -> float:
    """Seconds until a suspect counts as dead, after `confirmations` of `k` that were hoped for; may be negative."""
    share = math.log(confirmations + 1) / math.log(k + 1) if k else 1.0
    whole = math.floor((high_s - share * (high_s - low_s)) * 1000) / 1000
    return max(whole, low_s) - elapsed_s


def push_pull_interval_s(interval_s: float, n: int) -> float:
    """interval * (ceil(log2 n - log2 32) + 1) above 32 nodes."""
    if n <= _PUSH_PULL_SCALE_NODES:
        return interval_s
    return interval_s * (math.ceil(math.log2(n) - math.log2(_PUSH_PULL_SCALE_NODES)) + 1)
