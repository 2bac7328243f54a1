"""How often a client agent may ask its servers (`limits.rpc_rate`, `limits.rpc_max_burst`).

Source: surface row G20; developer.hashicorp.com/consul/docs/reference/agent/configuration-file/general (`limits`): a
token bucket for the requests of this agent to servers; what is over it is refused with "RPC rate limit exceeded" (HTTP
429) and counted in `client.rpc.exceeded`. What is followed is not asked for, so it costs nothing.

What may be changed: which requests count is decided by `asking.py`.
"""

from __future__ import annotations

from meshagent.agent.bucket import Bucket
from meshagent.catalog.rpc.link import RpcMetrics
from meshagent.clock import Clock
from meshagent.errors import MeshError

__all__ = ["RpcLimit", "RpcRateExceeded"]


class RpcRateExceeded(MeshError):
    """Over `limits.rpc_rate`."""

    http_status = 429
    grpc_code = 8  # RESOURCE_EXHAUSTED
    retryable = True

    def __init__(self) -> None:
        super().__init__("RPC rate limit exceeded")


class RpcLimit:
    """One for all requests of an agent."""

    def __init__(self, clock: Clock, metrics: RpcMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._settings = (-1.0, 0)
        self._bucket = Bucket(-1.0, 0.0)

    def set(self, rate: float, burst: int) -> None:
        """`rate` requests a second (below 0: any number), `burst` at once. The same again leaves what was used up."""
        if (rate, burst) != self._settings:
            self._settings = (rate, burst)
            self._bucket = Bucket(rate, self._clock.monotonic(), burst)

    def take(self) -> None:
        """Count one request. Raises RpcRateExceeded."""
        if not self._bucket.take(self._clock.monotonic()):
            self._metrics.incr("client.rpc.exceeded")
            raise RpcRateExceeded
