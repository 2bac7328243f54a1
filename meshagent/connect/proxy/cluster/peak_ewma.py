"""EWMA peak latency: of two drawn hosts the one where a request is likely to wait less.

A host's latency is a moving average that jumps to a peak at once and decays by half a life of time; it is multiplied by
what is open there. So a host that becomes slow is left at once, and found good again only slowly.

Source: Finagle's and linkerd's "peak EWMA" (decay 10 s, 30 ms assumed of a new host). What may change here: the two
constants, with figures.
"""

from __future__ import annotations

import math
import random

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy
from meshagent.connect.proxy.cluster.slow_start import share

__all__ = ["ASSUMED_S", "cost", "make", "observe"]

DECAY_S = 10.0
ASSUMED_S = 0.030


def observe(host: Host, now: float, seconds: float) -> None:
    """A request took so long."""
    before = host.ewma_s
    if before == 0.0 or seconds > before:
        host.ewma_s = seconds
    else:
        kept = math.exp((host.ewma_at - now) / DECAY_S)
        host.ewma_s = before * kept + seconds * (1.0 - kept)
    host.ewma_at = now


def cost(host: Host, now: float, window_s: float = 0.0) -> float:
    """What a request there would cost: seconds times what is open, over weight."""
    if host.ewma_s == 0.0:
        seconds = ASSUMED_S
    else:  # an idle host is forgiven in time
        seconds = host.ewma_s * math.exp((host.ewma_at - now) / DECAY_S)
    return (seconds + 1e-6) * (host.active + 1) / (host.weight * share(host, window_s, now))


class PeakEwma:
    """The better of two different ones."""

    def __init__(self, hosts: list[Host], window_s: float) -> None:
        self._hosts = hosts
        self._window_s = window_s

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        hosts = self._hosts
        count = len(hosts)
        if count == 1:
            return hosts[0]
        one = int(rng.random() * count)
        two = int(rng.random() * (count - 1))
        two += two >= one
        first, second = hosts[one], hosts[two]
        window_s = self._window_s
        return first if cost(first, now, window_s) <= cost(second, now, window_s) else second


def make(hosts: list[Host], choosing: Choosing, now: float, rng: random.Random) -> Policy:
    """Draws among these hosts."""
    return PeakEwma(hosts, choosing.slow_start_s)
