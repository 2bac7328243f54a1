"""How long a call is tried: for some time behind the first attempt that failed, from when it was worth trying.

Source: Consul's rule of `performance.rpc_hold_timeout` (surface row G21). Pure but for the clock it is given.

What may be changed: nothing a caller of an agent could tell apart.
"""

from __future__ import annotations

from meshagent.clock import Clock

__all__ = ["Retry"]


class Retry:
    """How long one call may go on: `hold_s` behind the last attempt that was worth it."""

    def __init__(self, clock: Clock, hold_s: float) -> None:
        self._clock = clock
        self._hold_s = hold_s
        self._began = clock.monotonic()
        self._until = self._began + hold_s

    def begins(self) -> None:
        """An attempt begins."""
        self._began = self._clock.monotonic()

    def exhausted(self, *, lost: bool) -> bool:
        """Whether an attempt that failed now was the last one; `lost`: its connection ended."""
        now = self._clock.monotonic()
        if lost and now - self._began > self._hold_s:  # it waited, for good, until its server failed
            self._until = now + self._hold_s
            return False
        return now >= self._until

    def left_s(self) -> float:
        """Seconds that are left to wait for a server."""
        return self._until - self._clock.monotonic()
