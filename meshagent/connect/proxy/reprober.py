"""I/O edge: an instance that was ejected because it took no connections is dialled again until it takes one.

An instance is often registered before its sidecar listens. To leave it alone for `BaseEjectionTime` (30 s), as one that
answers with errors, would take half of a young service away. So its ejection ends at the first handshake in which it
proves who it is, and at the end of its time otherwise; requests are not what finds out.

Source: Envoy's outlier detection has only the time; the pauses are those of its DNS back-off (doubling, bounded). What
may change here: pauses.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host

__all__ = ["FIRST_S", "LONGEST_S", "Reprober"]

#: Pauses between dials of one instance, in seconds; they double, and vary by a fifth.
FIRST_S, LONGEST_S = 0.25, 3.0


class Reprober:
    """A task for each instance that is out and cannot be reached. `takes` says whether it takes a connection now."""

    def __init__(
        self,
        clusters: Clusters,
        takes: Callable[[Host], Awaitable[bool]],
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
    ) -> None:
        self._clusters = clusters
        self._takes = takes
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._running: dict[Host, asyncio.Task[None]] = {}

    def look(self) -> None:
        """An instance was ejected."""
        for _, cluster in self._clusters.all():
            for host in cluster.hosts if cluster.outliers.out else ():
                if cluster.outliers.unreachable(host) and host not in self._running:
                    self._running[host] = self._tasks.start(self._dial(host, cluster), name="instance dialled again")

    async def _dial(self, host: Host, cluster: Cluster) -> None:
        pause_s = FIRST_S
        try:
            while True:
                await self._clock.sleep(pause_s * (0.8 + 0.4 * self._rng.random()))
                if host.gone or not cluster.outliers.unreachable(host) or self._clock.monotonic() > host.ejected_until:
                    return
                if await self._takes(host):
                    cluster.reached(host)
                    return
                pause_s = min(2 * pause_s, LONGEST_S)
        finally:
            self._running.pop(host, None)
