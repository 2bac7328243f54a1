"""Ring hash: each host has places on a ring by weight; a key goes to the next place after its hash.

When one of n hosts comes or goes, about one key in n moves.

Source: Karger and others, "Consistent Hashing and Random Trees" (1997); Envoy's architecture overview, "ring hash";
surface row M25 for the sizes. What may change here: nothing without moving every session of every user.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left

from meshagent.connect.proxy.cluster.hashing import hash64
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing, Policy

__all__ = ["RingHash", "make"]

#: More places than this are not made, whatever is asked for: Envoy's own bound.
_LARGEST = 8 * 1024 * 1024


class RingHash:
    """The ring."""

    def __init__(self, hosts: list[Host], smallest: int, largest: int) -> None:
        """Every host has one place at least, and there are `smallest` places at least, `largest` at most if they can
        be shared by weight."""
        total = sum(host.weight for host in hosts)
        least = min(host.weight for host in hosts) / total
        # As many that the lightest host's share is a whole number, so that weights come out right.
        scale = min(math.ceil(least * smallest) / least, float(max(largest, len(hosts))))
        places: list[tuple[int, int]] = []
        for at, host in enumerate(hosts):
            count = max(1, round(scale * host.weight / total))
            label = host.key.encode()
            places += ((hash64(b"%b_%d" % (label, number)), at) for number in range(count))
        places.sort()
        self._hashes = [place for place, _ in places]
        self._hosts = [hosts[at] for _, at in places]

    def __len__(self) -> int:
        return len(self._hashes)

    def pick(self, now: float, rng: random.Random, hash_: int) -> Host:
        at = bisect_left(self._hashes, hash_)
        return self._hosts[at if at < len(self._hosts) else 0]


def make(hosts: list[Host], choosing: Choosing, now: float, rng: random.Random) -> Policy:
    """The ring of these hosts."""
    smallest = min(choosing.minimum_ring_size or 1024, _LARGEST)
    return RingHash(hosts, smallest, max(smallest, min(choosing.maximum_ring_size or 8192, _LARGEST)))
