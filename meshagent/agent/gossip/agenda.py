"""The timers of one machine in one heap, so that its driver needs only one.

Source: ours. Timers fire in the order of their moments, of equal moments in the order they were set: the same on every
run. Cancelled ones stay in the heap until their moment comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Agenda", "Timer"]


class Timer:
    """Calls `action(now)` once; `cancel` forgets it."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: Callable[[float], None]) -> None:
        self.at = at
        self.action: Callable[[float], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Agenda:
    """What is due when, in monotonic seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def at(self, when: float, action: Callable[[float], None]) -> Timer:
        timer = Timer(when, action)
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, timer))
        return timer

    def next_at(self) -> float | None:
        """The moment of the first timer that counts."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run(self, now: float) -> None:
        """Fire all that is due at `now`, also what the fired ones set for no later than that."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            action = heapq.heappop(heap)[2].action
            if action is not None:
                action(now)
