"""When to try again to join: `retry_join`, `retry_interval`, `retry_max`.

Source: surface row G11; developer.hashicorp.com/consul/docs/agent/config/cli-flags (`-retry-max`: 0 is for ever). With
an end the attempts are `retry_interval` apart, as people count on. Without one the first come quickly, so that a
cluster whose hosts boot together forms in seconds, and then ever later up to that interval. Pure. What may change here:
the first delay.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["RetryJoin"]

_FIRST_S = 1.0


class RetryJoin:
    """The attempts to join one of `addresses`."""

    def __init__(self, addresses: Sequence[str], interval_s: float, most: int) -> None:
        self.addresses = tuple(addresses)
        self._interval_s = interval_s
        self._most = most
        self._failures = 0

    def failed(self) -> float | None:
        """An attempt failed: seconds until the next, or None when there is none."""
        self._failures += 1
        if self._most:
            return self._interval_s if self._failures <= self._most else None
        return min(self._interval_s, _FIRST_S * (1 << min(self._failures - 1, 30)))
