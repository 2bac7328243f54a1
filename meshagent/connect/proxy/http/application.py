"""I/O edge: the application behind a sidecar as a cluster of one: no balancing, no limits of its own.

Source: surface row M71 (`local_connect_timeout_ms`); Envoy's `local_app` cluster. What may change here: settings of the
registration.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import MeshGateway, TransparentProxy
from meshagent.clock import Tasks
from meshagent.connect.chain import Target
from meshagent.connect.proxy.cluster.breakers import Breakers
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.http.connection import Turn
from meshagent.connect.proxy.http.opening import HTTP2, STREAMS, Opening
from meshagent.connect.proxy.http.pool import HostPool
from meshagent.connect.resilience import Limits
from meshagent.connect.snapshot import Cluster as ClusterRow
from meshagent.connect.snapshot import Endpoint, Inbound

__all__ = ["Application"]


class Application:
    """`Cluster` of the local application."""

    def __init__(self, inbound: Inbound, turn: Turn, tasks: Tasks) -> None:
        self.name = "local_app"
        self.breaker = Breakers(Limits(None, None, None))
        self._inbound = inbound
        self._turn = turn
        self._tasks = tasks
        target = Target(
            "local_app", "local_app", "", "", "", "", MeshGateway(), Subset(), TransparentProxy(), False, "", ""
        )
        endpoint = Endpoint("local_app", "", inbound.local_address, inbound.local_port)
        self.host = Host(ClusterRow(target, ()), endpoint, -math.inf)
        self.host.pool = self.pool = HostPool(self._open, turn.timers, self.breaker)
        if inbound.protocol in HTTP2:
            self.pool.streams_per_connection = STREAMS

    def pick(self, hash_key: int | None = None, exclude: Collection[Host] = ()) -> Host:
        """The only one."""
        return self.host

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        """There is no choice to be made from it."""

    def close(self) -> None:
        """Another one has taken its place."""
        self.pool.close()

    def _open(self, pool: HostPool) -> None:
        one = self._inbound
        opening = Opening(self._turn, pool, one.protocol, None, one.connect_timeout_ms / 1000.0)
        opening.start(self._tasks, one.local_address, one.local_port, one.local_socket)
