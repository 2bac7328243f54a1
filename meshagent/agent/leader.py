"""What a leader does beside answering: it reaps the tombstones of deleted keys and nodes.

Source: surface row C13 (tombstones are kept 15 minutes and reaped in steps of 30 seconds). Pure: time comes in, a
command comes out.
"""

from __future__ import annotations

from collections import deque

from meshagent.catalog.commands import ReapTombstones

__all__ = ["REAP_STEP_S", "TOMBSTONE_TTL_S", "TombstoneReaper"]

TOMBSTONE_TTL_S = 15 * 60.0
REAP_STEP_S = 30.0


class TombstoneReaper:
    """Remembers which index was reached when, and says what is old enough to be forgotten."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def step(self, now: float, index: int) -> ReapTombstones | None:
        """Note that the store is at `index` at monotonic second `now`; the command that is due, if any."""
        if not self._marks or self._marks[-1][1] != index:
            self._marks.append((now, index))
        due: int | None = None
        while self._marks and now - self._marks[0][0] >= TOMBSTONE_TTL_S:
            due = self._marks.popleft()[1]
        return ReapTombstones(due) if due is not None else None
