"""How many certificates are signed: `CSRMaxPerSecond`, or `CSRMaxConcurrent` in its place.

A request over the rate waits for its turn when that comes within half a second, and is refused otherwise; who is
refused keeps its old leaf and asks again later (leaf.py). Pure: monotonic seconds come in.

Source: surface row M66; developer.hashicorp.com/consul/docs/connect/ca ("csr_max_per_second"). What may change here:
how long one may wait.
"""

from __future__ import annotations

from meshagent.errors import MeshError

__all__ = ["SigningLimit", "TooManyRequests"]

#: Longest wait for one's turn.
MAX_WAIT_S = 0.5


class TooManyRequests(MeshError):
    """Over the signing limit."""

    http_status = 429
    grpc_code = 8  # RESOURCE_EXHAUSTED
    retryable = True

    def __init__(self) -> None:
        super().__init__("rate limit for signing certificates reached, try again later")


class SigningLimit:
    """Turns, one every 1/rate seconds; or so many at a time."""

    def __init__(self) -> None:
        self._next = 0.0
        self._running = 0

    def enter(self, now: float, per_second: float, concurrent: int) -> float:
        """Take a turn; how many seconds to wait for it. Each `enter` is followed by one `leave`.

        Raises:
            TooManyRequests: it would not come soon enough. Nothing is to be left then.
        """
        if concurrent > 0:
            if self._running >= concurrent:
                raise TooManyRequests
        elif per_second > 0:
            at = max(now, self._next)
            if at - now > MAX_WAIT_S:
                raise TooManyRequests
            self._next = at + 1.0 / per_second
            self._running += 1
            return at - now
        self._running += 1
        return 0.0

    def leave(self) -> None:
        """The turn is over."""
        self._running -= 1
