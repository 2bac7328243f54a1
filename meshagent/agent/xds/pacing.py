"""How fast snapshots become updates, over all streams of an agent (`xds.update_max_per_second`). Pure.

Source: surface row X4; developer.hashicorp.com/consul/docs/agent/config ("xds"). What may change here: nothing; a queue
is what this is for.
"""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """`per_second` turns a second, 0 for any number."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._next = 0.0

    def turn(self, now: float) -> float:
        """Take a turn; the seconds until it is there."""
        if self.per_second <= 0:
            return 0.0
        at = max(now, self._next)
        self._next = at + 1 / self.per_second
        return at - now
