"""I/O edge: active checks: every instance of a cluster that wants them is asked at its interval.

A check is a connection with mutual TLS whose peer proves to be the service, with a path a GET on it that answers 2xx,
with `grpc` a call of gRPC's health service (`grpc_prober.py`). It goes beside the traffic, on connections of its own,
and does not count as any.

Source: Envoy's architecture overview, "health checking"; `cluster/active_checks.py` says what answers
mean. What may change here: other kinds of check.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.resilience import ActiveCheck
from meshagent.errors import RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.connection import Turn

__all__ = ["HealthProber", "probe"]

log = logging.getLogger("proxy.checks")

#: The first line of an answer is not longer.
_MAX_LINE = 8192


_CONNECTION = ActiveCheck()


class HealthProber:
    """A task for each instance that is checked; `follow` after each snapshot."""

    def __init__(
        self,
        clusters: Clusters,
        contexts: Callable[[], Contexts | None],
        turn: Callable[[], Turn],
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
    ) -> None:
        self._clusters = clusters
        self._contexts = contexts
        self._turn = turn
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._running: dict[Host, asyncio.Task[None]] = {}

    def follow(self) -> None:
        """Check those that are to be checked now, and no others."""
        wanted: dict[Host, Cluster] = {}
        for _, cluster in self._clusters.all():
            if cluster.settings.resilience.check is not None:
                wanted |= dict.fromkeys(cluster.hosts, cluster)
        for host in [host for host in self._running if host not in wanted]:
            self._running.pop(host).cancel()
        for host, cluster in wanted.items():
            if host not in self._running:
                self._running[host] = self._tasks.start(self._ask(host, cluster), name="upstream check")

    async def takes(self, host: Host) -> bool:
        """Whether an instance takes a connection, and proves who it is."""
        contexts = self._contexts()
        return contexts is not None and not await probe(self._turn(), contexts, host, _CONNECTION)

    async def _ask(self, host: Host, cluster: Cluster) -> None:
        first = True
        while True:
            check = cluster.settings.resilience.check
            if check is None:
                return
            # Spread at first, so that instances of many proxies are not asked at once; jitter of a tenth later.
            part = self._rng.random() if first else 0.9 + 0.2 * self._rng.random()
            await self._clock.sleep(check.interval_s * part)
            first = False
            contexts = self._contexts()
            if contexts is not None:
                reason = await probe(self._turn(), contexts, host, check)
                if reason:
                    log.debug("check failed: target=%s address=%s error=%s", host.target, host.key, reason)
                cluster.checked(host, not reason)


async def probe(turn: Turn, contexts: Contexts, host: Host, check: ActiveCheck) -> str:
    """Ask once: why it is bad, "" when it is good."""
    try:
        if check.grpc:
            from meshagent.connect.proxy.grpc_prober import probe_grpc

            return await probe_grpc(turn, contexts, host, check)
        return await _probe(contexts, host, check)
    except TimeoutError:
        return "timed out"
    except OSError as error:
        return str(error) or type(error).__name__


async def _probe(contexts: Contexts, host: Host, check: ActiveCheck) -> str:
    loop = asyncio.get_running_loop()
    asking = _Asking(contexts, host, check, loop.create_future())
    try:
        async with asyncio.timeout(check.timeout_s):
            await loop.create_connection(lambda: asking, host.address, host.port)
            return await asking.found
    finally:
        if asking.transport is not None:
            asking.transport.abort()


class _Asking(asyncio.Protocol):
    """One connection of a check. `found` is why the instance is bad, "" when it is good."""

    def __init__(self, contexts: Contexts, host: Host, check: ActiveCheck, found: asyncio.Future[str]) -> None:
        row = host.cluster
        self.found = found
        self.transport: asyncio.Transport | None = None
        self._tls = Tls(contexts.client_of(row.target.peer), server_side=False, server_name=row.target.sni or None)
        self._identities = row.identities
        request = f"GET {check.path} HTTP/1.1\r\nHost: {row.target.service}\r\nUser-Agent: meshagent-check\r\n"
        self._request = f"{request}Connection: close\r\n\r\n".encode("ascii", "replace") if check.path else b""
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._tls.start()
        self._flush()

    def data_received(self, data: bytes) -> None:
        tls, was_ready = self._tls, self._tls.ready
        try:
            self._answer += b"".join(tls.feed(data))
        except RemoteProtocolError as error:
            self._flush()
            self._tell(str(error))
            return
        if tls.ready and not was_ready:
            if tls.identity not in self._identities:
                self._tell(f"peer certificate mismatch: {tls.identity or 'none'}")
            elif not self._request:
                self._tell("")
            else:
                tls.write(self._request)
        self._flush()
        line, whole, _ = self._answer.partition(b"\r\n")
        if whole:
            status = line.split(b" ", 2)[1:2]
            self._tell("" if status and status[0][:1] == b"2" else f"answered {line[:80]!r}")
        elif len(line) > _MAX_LINE:
            self._tell("the answer has no end")

    def connection_lost(self, error: Exception | None) -> None:
        self._tell(str(error or "the peer closed the connection"))

    def _flush(self) -> None:
        data = self._tls.outgoing()
        if data and self.transport is not None:
            self.transport.write(data)

    def _tell(self, reason: str) -> None:
        if not self.found.done():
            self.found.set_result(reason)
