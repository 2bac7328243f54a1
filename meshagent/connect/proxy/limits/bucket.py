"""A token bucket. Pure.

Source: Envoy's local rate limit filter, "token bucket"; RFC 2697 for the idea. What may change here: nothing.
"""

from __future__ import annotations

import math

from meshagent.catalog.entries.rate_limits import Rate

__all__ = ["Bucket"]


class Bucket:
    """Full at first. Tokens come all the time, not once an interval, so that no burst doubles at its edge."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate.burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether there is a token, which is gone then."""
        rate = self.rate
        tokens = min(float(rate.burst), self._tokens + (now - self._at) * rate.per_second)
        self._at = now
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True

    def told(self, rate: Rate) -> None:
        """Another rate; what is left stays, as far as it fits."""
        self.rate = rate
        self._tokens = min(self._tokens, float(rate.burst))

    @property
    def left(self) -> int:
        """Whole tokens after the last look."""
        return int(self._tokens)

    @property
    def wait_s(self) -> int:
        """Whole seconds until there is a token again, 1 at least."""
        return max(1, math.ceil((1.0 - self._tokens) / self.rate.per_second))
