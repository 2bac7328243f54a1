"""Turns by weight: earliest deadline first.

Each host's next turn comes one over its weight later; the earliest is taken. Weights are read when a turn is taken, so
they may move (slow start, load). Log of the hosts for one pick.

Source: Envoy's architecture overview, "weighted round robin"; Stiliadis and Varma, "Rate-proportional servers" (1998).
What may change here: nothing that is seen outside.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heapify, heapreplace

from meshagent.connect.proxy.cluster.host import Host

__all__ = ["EarliestDeadline"]


class EarliestDeadline:
    """A policy whose weight is `weigh(host, now)`, above 0."""

    def __init__(
        self, hosts: list[Host], now: float, rng: random.Random, weigh: Callable[[Host, float], float]
    ) -> None:
        """First turns are drawn, so that many proxies that start together do not move in step."""
        self._weigh = weigh
        self._turns = [(rng.random() / weigh(host, now), at, host) for at, host in enumerate(hosts)]
        heapify(self._turns)

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        deadline, at, host = self._turns[0]
        heapreplace(self._turns, (deadline + 1.0 / self._weigh(host, now), at, host))
        return host
