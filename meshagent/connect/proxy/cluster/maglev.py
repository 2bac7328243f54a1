"""Maglev: a table that every host fills in its own order, in turns by weight; a key looks up its place.

More even than a ring, and one look-up; when a host goes, a few more keys move than had to.

Source: Eisenbud and others, "Maglev" (NSDI 2016), section 3.4; Envoy's architecture overview, "Maglev". The table is
smaller than Envoy's 65,537, for it is filled by Python: 3 ms for a few hosts instead of 90. What may change here:
nothing without moving every session of every user.
"""

from __future__ import annotations

import random

from meshagent.connect.proxy.cluster.hashing import hash64
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy

__all__ = ["Maglev", "make", "size_for"]

#: (hosts at most, size): primes, so that every skip reaches every place; 16 places a host and more. The largest takes
#: half a second to fill.
_SIZES = ((64, 4099), (1024, 16411), (1 << 30, 65537))


class Maglev:
    """The table."""

    def __init__(self, hosts: list[Host], size: int) -> None:
        heaviest = max(host.weight for host in hosts)
        offsets, skips = [], []
        for host in hosts:
            label = host.key.encode()
            offsets.append(hash64(b"offset " + label) % size)
            skips.append(hash64(b"skip " + label) % (size - 1) + 1)
        credit = [0.0] * len(hosts)
        shares = [host.weight / heaviest for host in hosts]
        table = [-1] * size
        left = size
        while left:
            for number, gained in enumerate(shares):
                credit[number] += gained
                if credit[number] < 1.0:
                    continue  # a lighter host does not have its turn in every round
                credit[number] -= 1.0
                at, skip = offsets[number], skips[number]
                while table[at] >= 0:
                    at += skip
                    if at >= size:
                        at -= size
                table[at] = number
                offsets[number] = at
                left -= 1
                if not left:
                    break
        self._table = [hosts[number] for number in table]
        self._size = size

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        return self._table[hash_ % self._size]


def size_for(hosts: int) -> int:
    """The size of the table for so many hosts."""
    return next(size for most, size in _SIZES if hosts <= most)


def make(hosts: list[Host], choosing: Choosing, now: float, rng: random.Random) -> Policy:
    """The table of these hosts, in one order whatever order they come in."""
    ordered = sorted(hosts, key=lambda host: host.key)
    return Maglev(ordered, size_for(len(ordered)))
