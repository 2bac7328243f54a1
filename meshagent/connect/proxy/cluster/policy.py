"""What a load-balancing policy promises, and what it is made for.

A policy is made anew for a list of usable hosts whenever that list, a weight or a slow start changes; then `pick` is
asked for each connection or request. It sees load and latency through the hosts themselves.

Source: surface row M25; Envoy's architecture overview, "supported load balancers". What may change here: only with all
rows of `table.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.slow_start import ends

__all__ = ["Choosing", "Policy"]


@dataclass(frozen=True, slots=True)
class Choosing:
    """The parameters of policies; each reads its own."""

    choice_count: int = 2
    minimum_ring_size: int = 1024
    maximum_ring_size: int = 8192
    slow_start_s: float = 0.0

    def even(self, hosts: list[Host], now: float) -> bool:
        """Whether all hosts count alike, so that the cheap way will do."""
        first = hosts[0].weight
        return all(host.weight == first for host in hosts) and ends(hosts, self.slow_start_s, now) <= now


class Policy(Protocol):
    """Picks one of the hosts it was made for; there is one at least."""

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        """A host. `hash_` is what hash policies made of the request, or chance."""
