"""What is to be told to others, each so many times: the queue that every packet takes from.

Source: SWIM paper (Das, Gupta, Motivala, 2002), section 4.1; surface row S24; golden README section 10. Order: what was
sent least often first, of those the longest that fits, of those the newest. A message under a name replaces an older
one of that name. Serf uses one for each of its queues. What may be changed: not the order; peers share the bandwidth.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from meshagent.agent.gossip.timing import retransmit_limit

__all__ = ["BroadcastQueue"]

#: (times sent, -length, -number): sorts as the order above; the number is unique.
_Key = tuple[int, int, int]


class BroadcastQueue:
    """`mult` is `retransmit_mult`; the number of nodes that its limit depends on is given to `take`."""

    def __init__(self, mult: int) -> None:
        self._mult = mult
        self._order: list[_Key] = []
        self._entries: dict[int, tuple[bytes, str | None, Callable[[], None] | None]] = {}
        self._named: dict[str, _Key] = {}
        self._count = 0
        self._shortest = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, payload: bytes, name: str | None = None, on_finished: Callable[[], None] | None = None) -> None:
        """Queue `payload`; `on_finished` is called once when it is sent out, replaced or pruned."""
        if name is not None and name in self._named:
            self._finish(self._named.pop(name))
        self._count += 1
        key = (0, -len(payload), -self._count)
        if not self._order or len(payload) < self._shortest:
            self._shortest = len(payload)
        insort(self._order, key)
        self._entries[-key[2]] = (payload, name, on_finished)
        if name is not None:
            self._named[name] = key

    def take(self, overhead: int, limit: int, nodes: int) -> list[bytes]:
        """What goes with a packet that has `limit` bytes left, each part counted as its length + `overhead`."""
        order = self._order
        if not order or limit < self._shortest + overhead:
            return []
        out: list[bytes] = []
        most = retransmit_limit(self._mult, nodes)
        sent: list[_Key] = []
        at = 0
        while at < len(order):
            times, negative, number = order[at]
            room = limit - overhead
            if room < self._shortest:
                break
            if -negative > room:  # on to the first of this tier that fits, or to the next tier
                at = bisect_left(order, (times, -room), at)
                continue
            del order[at]
            entry = self._entries[-number]
            out.append(entry[0])
            limit -= len(entry[0]) + overhead
            if times + 1 >= most:
                self._forget((times, negative, number))
            else:
                sent.append((times + 1, negative, number))
        for key in sent:
            insort(order, key)
            name = self._entries[-key[2]][1]
            if name is not None:
                self._named[name] = key
        return out

    def prune(self, keep: int) -> int:
        """Drop the oldest messages above `keep`; returns how many."""
        extra = len(self._order) - keep
        if extra <= 0:
            return 0
        for key in sorted(self._order, key=lambda key: -key[2])[:extra]:
            self._finish(key)
        return extra

    def clear(self) -> None:
        for key in list(self._order):
            self._finish(key)

    def _finish(self, key: _Key) -> None:
        del self._order[bisect_left(self._order, key)]
        self._forget(key)

    def _forget(self, key: _Key) -> None:
        _, name, on_finished = self._entries.pop(-key[2])
        if name is not None and self._named.get(name, key)[2] == key[2]:
            self._named.pop(name, None)
        if on_finished is not None:
            on_finished()
