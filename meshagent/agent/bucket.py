"""A token bucket: how many of something may happen in a time, with some at once.

Source: golang.org/x/time/rate, whose `Limiter` Consul uses for all its limits: tokens come in at a rate, up to a burst.

What may be changed: time is an argument; nothing here waits.
"""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """`rate` a second: 0 lets only `burst` pass, below 0 everything. `burst`: None for a second's worth."""

    def __init__(self, rate: float, now: float, burst: int | None = None) -> None:
        self._rate = rate
        self._most = float(burst) if burst is not None else max(rate, 1.0) if rate > 0 else 0.0
        self._tokens = self._most
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more fits at monotonic second `now`."""
        if self._rate < 0:
            return True
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
