"""Random: chance by weight.

A slow start is done by drawing again: a host that has a share of its weight is taken with that chance.

Source: Envoy's architecture overview, "random". What may change here: nothing that is seen outside.
"""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy
from meshagent.connect.proxy.cluster.slow_start import ends, share

__all__ = ["drawn", "make"]

#: Draws before whoever was drawn is taken: one in ten is the least share, so this is almost never reached.
_MOST_DRAWS = 64


class Random:
    """Each with the same chance."""

    def __init__(self, hosts: list[Host]) -> None:
        self._hosts = hosts

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        hosts = self._hosts
        return hosts[int(rng.random() * len(hosts))]


class WeightedRandom:
    """Chance by weight and slow start."""

    def __init__(self, hosts: list[Host], window_s: float) -> None:
        self._hosts = hosts
        self._sums = list(accumulate(host.weight for host in hosts))
        self._window_s = window_s

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        host = self._drawn(rng)
        if self._window_s:
            for _ in range(_MOST_DRAWS):
                part = share(host, self._window_s, now)
                if part >= 1.0 or rng.random() < part:
                    break
                host = self._drawn(rng)
        return host

    def _drawn(self, rng: random.Random) -> Host:
        return self._hosts[bisect(self._sums, rng.random() * self._sums[-1])]


def make(hosts: list[Host], choosing: Choosing, now: float, rng: random.Random) -> Policy:
    """The cheap way where all count alike."""
    if choosing.even(hosts, now):
        return Random(hosts)
    return WeightedRandom(hosts, choosing.slow_start_s if ends(hosts, choosing.slow_start_s, now) > now else 0.0)


def drawn(hosts: list[Host], rng: random.Random) -> Host:
    """One of the hosts, by weight."""
    return rng.choices(hosts, weights=[host.weight for host in hosts])[0]
