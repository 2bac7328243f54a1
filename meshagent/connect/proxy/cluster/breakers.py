"""Circuit breakers: what may be open, wait or be tried again towards one upstream at once.

Each `try_` says whether there is room and takes it; one that gave True is followed by exactly one `end_`. Refusals are
counted: they are the `overflow` of metrics.

Source: Envoy's architecture overview, "circuit breaking" (with its retry budget); surface row M75. What may change
here: further bounds.
"""

from __future__ import annotations

from meshagent.connect.resilience import Limits

__all__ = ["Breakers"]

_UNBOUNDED = 1 << 62


class Breakers:
    """The counts of now, and of refusals since the start."""

    __slots__ = (
        "_connections",
        "_pending",
        "_requests",
        "connection_overflow",
        "connections",
        "limits",
        "pending",
        "pending_overflow",
        "request_overflow",
        "requests",
        "retries",
        "retry_overflow",
    )

    def __init__(self, limits: Limits) -> None:
        self.connections = self.pending = self.requests = self.retries = 0
        self.connection_overflow = self.pending_overflow = self.request_overflow = self.retry_overflow = 0
        self.told(limits)

    def told(self, limits: Limits) -> None:
        """Other limits; what is open stays."""
        self.limits = limits
        self._connections = _bound(limits.max_connections)
        self._pending = _bound(limits.max_pending_requests)
        self._requests = _bound(limits.max_concurrent_requests)

    def try_connection(self) -> bool:
        """Room for one more connection."""
        if self.connections >= self._connections:
            self.connection_overflow += 1
            return False
        self.connections += 1
        return True

    def end_connection(self) -> None:
        """It is closed."""
        self.connections -= 1

    def try_request(self) -> bool:
        """Room for one more request at once."""
        if self.requests >= self._requests:
            self.request_overflow += 1
            return False
        self.requests += 1
        return True

    def end_request(self) -> None:
        """It has ended."""
        self.requests -= 1

    def try_pending(self) -> bool:
        """Room for one more that waits for a connection."""
        if self.pending >= self._pending:
            self.pending_overflow += 1
            return False
        self.pending += 1
        return True

    def end_pending(self) -> None:
        """It waits no more."""
        self.pending -= 1

    def try_retry(self) -> bool:
        """Whether the budget has one more retry."""
        limits = self.limits
        budget = limits.retry_budget_percent / 100.0 * (self.requests + self.pending)
        if self.retries >= max(budget, limits.min_retries):
            self.retry_overflow += 1
            return False
        self.retries += 1
        return True

    def end_retry(self) -> None:
        """It has been made."""
        self.retries -= 1


def _bound(limit: int | None) -> int:
    return _UNBOUNDED if limit is None else limit
