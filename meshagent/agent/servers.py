"""Which of the datacenter's servers a client agent talks to: the list, its order, when to change.

The order is random for each agent, so that agents spread; the first is the one in use. One that fails goes to the end.
After a time that grows with the cluster the list is shuffled again, so that a server that came back gets its share.

Source: surface row G21 and the rules of Consul's client (github.com/hashicorp/consul, agent/router, MPL: two minutes at
least, and at most 64 agents a second moving to each server). Pure: time and chance are arguments.

What may be changed: the figures.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Server", "Servers"]

#: A connection is kept at least this long, and up to a quarter longer by chance.
KEEP_S = 120.0
JITTER_FRACTION = 4
#: Agents that may move to each server in a second.
MOVES_PER_S = 64


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the datacenter: `address` is `host:port` of its RPC; `node_id` "" while it is not known."""

    address: str
    node_id: str = ""


class Servers:
    """The servers that one client agent knows, best first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._order: list[Server] = []
        self._due = 0.0

    @property
    def first(self) -> Server | None:
        """The one to talk to."""
        return self._order[0] if self._order else None

    @property
    def all(self) -> tuple[Server, ...]:
        """All, best first."""
        return tuple(self._order)

    def set(self, servers: Iterable[Server]) -> bool:
        """These are the servers now: the known keep their places, new ones get one by chance. Whether any changed."""
        wanted = dict.fromkeys(servers)
        kept = [server for server in self._order if server in wanted]
        added = [server for server in wanted if server not in set(kept)]
        if not added and len(kept) == len(self._order):
            return False
        self._rng.shuffle(added)
        # The one in use stays in front; a new one may come anywhere behind it.
        for server in added:
            kept.insert(self._rng.randint(min(1, len(kept)), len(kept)), server)
        self._order = kept
        return True

    def failed(self, server: Server) -> None:
        """It does not answer: it goes to the end."""
        if server in self._order:
            self._order.remove(server)
            self._order.append(server)

    def prefer(self, server: Server) -> None:
        """It is in use: it comes first."""
        if server in self._order:
            self._order.remove(server)
            self._order.insert(0, server)

    def rebalance_due(self, now: float) -> bool:
        """Whether it is time to shuffle."""
        return len(self._order) > 1 and now >= self._due

    def rebalance_in(self, now: float, longest_s: float) -> float:
        """Seconds until it is time to shuffle; `longest_s` when that is later, or never."""
        return min(longest_s, max(0.0, self._due - now)) if len(self._order) > 1 else longest_s

    def used(self, now: float, members: int) -> None:
        """A server is in use from monotonic second `now`; `members` is the size of the cluster."""
        jittered = KEEP_S + self._rng.uniform(0, KEEP_S / JITTER_FRACTION)
        self._due = now + max(jittered, members / (MOVES_PER_S * max(1, len(self._order))))

    def rebalance(self, now: float, members: int) -> Server | None:
        """Shuffle; the one to move to, None when it is the one in use."""
        before = self.first
        self._rng.shuffle(self._order)
        self.used(now, members)
        return self.first if self.first != before else None
