"""I/O edge: active checks: every instance of a cluster that wants them is asked at its interval.

A check is a connection with mutual TLS whose peer proves to be the service, and with a path a GET on it that answers
2xx. It goes beside the traffic, on connections of its own, and does not count as any.

Source: Envoy's architecture overview, "health checking" (HTTP and TCP); `cluster/active_checks.py` says what answers
mean. What may change here: other kinds of check.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.resilience import ActiveCheck

__all__ = ["HealthProber", "probe"]

log = logging.getLogger("proxy.checks")

#: The first line of an answer is not longer.
_MAX_LINE = 8192


class HealthProber:
    """A task for each instance that is checked; `follow` after each snapshot."""

    def __init__(
        self,
        clusters: Clusters,
        contexts: Callable[[], Contexts | None],
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
    ) -> None:
        self._clusters = clusters
        self._contexts = contexts
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
                reason = await probe(contexts, host, check)
                if reason:
                    log.debug("check failed: target=%s address=%s error=%s", host.target, host.key, reason)
                cluster.checked(host, not reason)


async def probe(contexts: Contexts, host: Host, check: ActiveCheck) -> str:
    """Ask once: why it is bad, "" when it is good."""
    row = host.cluster
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(check.timeout_s):
            reader, writer = await asyncio.open_connection(
                host.address, host.port, ssl=contexts.client, server_hostname=row.target.sni or None, limit=_MAX_LINE
            )
            names = (writer.get_extra_info("peercert") or {}).get("subjectAltName", ())
            identities = [value for kind, value in names if kind == "URI"]
            if not set(identities) & set(row.identities):
                return f"peer certificate mismatch: {identities}"
            if not check.path:
                return ""
            request = f"GET {check.path} HTTP/1.1\r\nHost: {row.target.service}\r\nUser-Agent: meshagent-check\r\n"
            writer.write(f"{request}Connection: close\r\n\r\n".encode("ascii", "replace"))
            line = await reader.readuntil(b"\r\n")
            status = line.split(b" ", 2)[1:2]
            return "" if status and status[0][:1] == b"2" else f"answered {line[:80]!r}"
    except TimeoutError:
        return "timed out"
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        return str(error) or type(error).__name__
    finally:
        if writer is not None:
            writer.transport.abort()
