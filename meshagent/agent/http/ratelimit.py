"""The global rate limit of reads and writes (`limits.request_limits`).

Two token buckets for the whole agent. What is over the rate is refused when enforcing, and only logged when
permissive. A refused write cannot be tried on another server, so it is told to come back later.

Source: surface rows C27, G20; developer.hashicorp.com/consul/docs/agent/limits. What may change here: which endpoints
are limited is decided by `dispatch.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from meshagent.agent.bucket import Bucket
from meshagent.errors import MeshError

__all__ = ["RateLimits", "RateSettings", "TooManyReads", "TooManyWrites"]

log = logging.getLogger("agent.http")


class TooManyReads(MeshError):
    """Over `read_rate`; another server may answer."""

    http_status = 429
    grpc_code = 8  # RESOURCE_EXHAUSTED
    retryable = True

    def __init__(self) -> None:
        super().__init__("rate limit exceeded, try again later or against a different server")


class TooManyWrites(MeshError):
    """Over `write_rate` on the leader."""

    http_status = 503
    grpc_code = 14  # UNAVAILABLE
    retryable = True

    def __init__(self) -> None:
        super().__init__("rate limit exceeded for operation that can only be performed by the leader, try again later")


@dataclass(frozen=True, slots=True)
class RateSettings:
    """`mode` is disabled, permissive or enforcing; rates in requests a second, negative for none."""

    mode: str = "disabled"
    read_rate: float = -1.0
    write_rate: float = -1.0


class RateLimits:
    """Both buckets under their mode."""

    def __init__(self, settings: RateSettings, now: float) -> None:
        self._enforcing = settings.mode == "enforcing"
        self.active = settings.mode in {"permissive", "enforcing"} and max(settings.read_rate, settings.write_rate) >= 0
        self._reads = Bucket(settings.read_rate, now)
        self._writes = Bucket(settings.write_rate, now)

    def check_read(self, now: float) -> None:
        """Count a read.

        Raises:
            TooManyReads: over the rate, when enforcing.
        """
        if not self._reads.take(now):
            self._exceeded(TooManyReads(), "read")

    def check_write(self, now: float, *, leader: bool) -> None:
        """Count a write; `leader` says whether this server leads.

        Raises:
            TooManyWrites: over the rate on the leader, when enforcing; TooManyReads elsewhere.
        """
        if not self._writes.take(now):
            self._exceeded(TooManyWrites() if leader else TooManyReads(), "write")

    def _exceeded(self, error: MeshError, what: str) -> None:
        if self._enforcing:
            raise error
        log.warning("rate limit exceeded: type=%s enforced=false", what)
