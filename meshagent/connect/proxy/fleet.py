"""I/O edge: all sidecars of a host in one process: they come and go with the registrations.

Source: our own (`connect { builtin_proxy = "managed" }`). What may change here: what sidecars of a process share.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.server import Sidecar
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["Fleet"]

log = logging.getLogger("proxy.fleet")


class Fleet:
    """Sidecars by the id of their registration."""

    def __init__(self, clock: Clock, rng: random.Random, drain_s: float, metrics_bind: str = "") -> None:
        """`drain_s` is how long connections may go on at a sidecar that is registered no more; `metrics_bind` where
        the metrics of all are read."""
        self._metrics_bind = metrics_bind
        self._clock = clock
        self._rng = rng
        self._drain_s = drain_s
        self._tasks = Tasks()
        self.sidecars: dict[str, Sidecar] = {}
        self._announced: set[str] = set()
        #: The digest of the snapshot that each works from; it is asked for again while one is not ready.
        self.known: dict[str, str] = {}

    async def apply(self, digests: Mapping[str, str], snapshots: Mapping[str, ProxySnapshot]) -> bool:
        """Work from this; False while a sidecar is not ready (there is no leaf yet, or a port is taken)."""
        for proxy_id in [proxy_id for proxy_id in self.sidecars if proxy_id not in digests]:
            log.info("registered no more: proxy=%s", proxy_id)
            self._announced.discard(proxy_id)
            self.known.pop(proxy_id, None)
            self._tasks.start(self.sidecars.pop(proxy_id).stop(self._drain_s), name="drain")
        for proxy_id, snapshot in snapshots.items():
            sidecar = self.sidecars.get(proxy_id)
            if sidecar is None:
                sidecar = self.sidecars[proxy_id] = Sidecar(self._clock, self._rng)
                sidecar.telemetry.metrics_bind = self._metrics_bind
            await sidecar.apply(snapshot)
            self.known[proxy_id] = digests[proxy_id]
        ready = True
        for proxy_id, sidecar in self.sidecars.items():
            if not sidecar.ready:
                ready = False
                self.known.pop(proxy_id, None)
            elif proxy_id not in self._announced:
                self._announced.add(proxy_id)
                log.info("proxy loaded config and is ready to serve: proxy=%s", proxy_id)
        return ready

    async def stop(self, drain_s: float) -> None:
        """End all of them, draining together."""
        stopping = [self._tasks.start(one.stop(drain_s), name="stop") for one in self.sidecars.values()]
        for task in stopping:
            await task
        await self._tasks.cancel()
