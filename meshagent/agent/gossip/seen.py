"""Which events and queries have been seen: the last 512 Lamport times of each.

A message older than the window is dropped, one that was seen is not passed on. Events keep what they said, because a
push/pull hands the window on to whoever joins.

Source: serf's event and query buffers (surface rows S42, S48; golden notes, "Clocks"). Bounded in each slot as well:
many messages may bear one time, when members that know nothing of each other send. What may change here: the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from meshagent.agent.gossip.lamport import LamportClock

__all__ = ["MAX_AT_ONE_TIME", "SeenWindow"]

#: Different messages of one Lamport time that are remembered; more are dropped.
MAX_AT_ONE_TIME = 256

K = TypeVar("K", bound=Hashable)


class SeenWindow(Generic[K]):
    """Keys by Lamport time, for the last `size` times of `clock`."""

    def __init__(
        self, clock: LamportClock, size: int = 512, *, weight: Callable[[K], int] | None = None, budget: int = 0
    ) -> None:
        """With `weight` all that is remembered together weighs at most `budget`; what is beyond it is dropped."""
        self._clock = clock
        self._size = size
        self._weight = weight
        self._left = budget
        self._slots: list[tuple[int, dict[K, None]] | None] = [None] * size
        self.least = 0
        """Times below this are dropped: they were before our time."""

    def take(self, ltime: int, key: K) -> bool:
        """Whether (ltime, key) is news; then it is remembered. The clock must have witnessed `ltime`."""
        now = self._clock.time
        if ltime < self.least or (now > self._size and ltime < now - self._size):
            return False
        number = ltime % self._size
        slot = self._slots[number]
        if slot is None or slot[0] < ltime:
            if slot is not None and self._weight is not None:
                self._left += sum(map(self._weight, slot[1]))
            slot = self._slots[number] = (ltime, {})
        elif slot[0] > ltime:
            return False
        keys = slot[1]
        if key in keys or len(keys) >= MAX_AT_ONE_TIME:
            return False
        if self._weight is not None:
            weight = self._weight(key)
            if weight > self._left:
                return False
            self._left -= weight
        keys[key] = None
        return True

    def __iter__(self) -> Iterator[tuple[int, tuple[K, ...]]]:
        """(time, keys) of all that is remembered, by slot."""
        return ((slot[0], tuple(slot[1])) for slot in self._slots if slot is not None)
