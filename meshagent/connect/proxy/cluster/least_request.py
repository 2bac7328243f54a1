"""Least request: of a few drawn hosts the one with the fewest open requests; with unequal weights, turns by weight over
load.

Source: Envoy's architecture overview, "weighted least request" (choice count 2, active request bias 1.0); Mitzenmacher,
"The Power of Two Choices" (2001). What may change here: nothing that is seen outside.
"""

from __future__ import annotations

import random

from meshagent.connect.proxy.cluster.edf import EarliestDeadline
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy
from meshagent.connect.proxy.cluster.slow_start import share

__all__ = ["make"]


class LeastRequest:
    """The best of `choices` drawn ones."""

    def __init__(self, hosts: list[Host], choices: int) -> None:
        self._hosts = hosts
        self._more = range(choices - 1)

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        hosts = self._hosts
        chance = rng.random
        count = len(hosts)
        best = hosts[int(chance() * count)]
        for _ in self._more:
            other = hosts[int(chance() * count)]
            if other.active < best.active:
                best = other
        return best


def make(hosts: list[Host], choosing: Choosing, now: float, rng: random.Random) -> Policy:
    """Draws where all count alike."""
    if choosing.even(hosts, now):
        return LeastRequest(hosts, max(2, choosing.choice_count))
    window_s = choosing.slow_start_s
    return EarliestDeadline(
        hosts, now, rng, lambda host, at: host.weight * share(host, window_s, at) / (host.active + 1)
    )
