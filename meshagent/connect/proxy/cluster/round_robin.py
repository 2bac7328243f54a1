"""Round robin: each in turn; with unequal weights, turns by weight.

Source: Envoy's architecture overview, "weighted round robin". The smallest policy: copy it. What may change here:
nothing that is seen outside.
"""

from __future__ import annotations

import random

from meshagent.connect.proxy.cluster.edf import EarliestDeadline
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy
from meshagent.connect.proxy.cluster.slow_start import share

__all__ = ["make"]


class RoundRobin:
    """Turns, from a drawn place on."""

    def __init__(self, hosts: list[Host], rng: random.Random) -> None:
        self._hosts = hosts
        self._at = int(rng.random() * len(hosts))

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        at = self._at
        hosts = self._hosts
        self._at = at + 1 if at + 1 < len(hosts) else 0
        return hosts[at]


def make(hosts: list[Host], choosing: Choosing, now: float, rng: random.Random) -> Policy:
    """The cheap way where all count alike."""
    if choosing.even(hosts, now):
        return RoundRobin(hosts, rng)
    window_s = choosing.slow_start_s
    return EarliestDeadline(hosts, now, rng, lambda host, at: host.weight * share(host, window_s, at))
