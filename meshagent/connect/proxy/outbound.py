"""I/O edge: the local side of a sidecar: the application dials an upstream, an instance of it is found and proven.

A failed instance is followed by another one before the application notices, and what became of each is told to its
cluster, which balances, ejects and limits. TLS sessions are resumed.

Source: "Outbound connection" of builtin-proxy.md of the golden mesh data, its weak points mended (no retry on another
instance, redirects and splits ignored). What may change here: other layers between the application and TLS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.dial import Dial, Dialler
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.idle import IdleWatch
from meshagent.connect.proxy.origins import Origin
from meshagent.connect.proxy.peek import Peek
from meshagent.connect.proxy.pump import Side, end_idle
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.proxy.told_peer import with_header
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["OutboundListener"]

log = logging.getLogger("proxy.outbound")


class OutboundListener:
    """Accepts the application's connections to one upstream."""

    kind = "tcp"

    def __init__(
        self,
        outbound: Outbound,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        clusters: Clusters,
        state: Callable[[], tuple[ProxySnapshot, Contexts | None]],
        connections: Connections,
    ) -> None:
        self.outbound = outbound
        self._connections = connections
        self._tallies = tallies
        self._clusters = clusters
        self._state = state
        self._dialler = Dialler(clock, tasks, tallies)
        self._door = Door()
        #: The application's side of what is open, with the instance once there is one.
        self.live: dict[Side, tuple[Cluster, Host | None] | None] = {}
        #: Those who have not said yet whom they speak for.
        self._peeking: set[Peek] = set()
        self._idle: IdleWatch[Side] = IdleWatch()
        #: How instances are reached by a gateway; None is the TLS of the mesh.
        self.origin: Callable[[], Origin | None] = lambda: None

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live) + len(self._peeking)

    async def start(self) -> None:
        """Listen, unless others hand connections over. Raises OSError."""
        one = self.outbound
        if not await self._door.open_for(one, self._accept):
            return
        log.info("listening: address=%s upstream=%s", one.key, one.name)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        self._door.close()
        for peek in list(self._peeking):
            peek.abort()

    def abort_all(self) -> None:
        """Cut what is open."""
        for side in list(self.live):
            side.abort()

    def end_idle(self, now: float) -> None:
        """End the connections over which nothing has passed for too long."""
        end_idle(self._idle, self.live, now, self.outbound.idle_timeout_ms)

    # --- one connection ----------------------------------------------------------------------------------------

    def accept(self) -> Side:
        """What takes over a connection that the application itself made."""
        return Side(None, self._accepted, self._closed)

    def take(self, side: Side) -> None:
        """A connection whose client has shaken hands with a gateway."""
        side.on_closed = self._closed
        self._accepted(side)

    def _accept(self) -> asyncio.BaseProtocol:
        if self.outbound.accept_proxy_protocol:
            return with_header(self.told, self.refused, self._peeking)
        return self.accept()

    def told(self, address: str) -> Side:
        """A client that speaks for another one."""
        return Side(None, lambda side: self._accepted(side, address), self._closed)

    def refused(self) -> None:
        """A connection was not taken."""
        self._tallies.refused += 1

    def _accepted(self, side: Side, address: str = "") -> None:
        cluster = self._clusters.drawn(self.outbound.key)
        if cluster is not None and not cluster.breaker.try_connection():
            self._tallies.refused += 1
            side.abort()
            return
        self.live[side] = (cluster, None) if cluster is not None else None
        side.pause()
        self._begin(side, cluster, address)

    def _closed(self, side: Side, why: str) -> None:
        held = self.live.pop(side, None)
        if held is not None:
            cluster, host = held
            cluster.breaker.end_connection()
            if host is not None:
                host.active -= 1
        noted = side.noted
        if noted is not None:
            other = side.other
            self._connections.ended(noted, side.read_bytes, other.read_bytes if other is not None else 0, why)

    def _begin(self, side: Side, cluster: Cluster | None, address: str) -> None:
        _, contexts = self._state()
        if contexts is None or cluster is None:
            self._unreachable(side, "no leaf certificate yet" if contexts is None else "")
            return

        def joined(host: Host) -> None:
            host.active += 1
            self.live[side] = (cluster, host)
            side.noted = self._connections.joined("", host.key, host.target)
            side.noted.peer_address = address

        Dial(
            self._dialler,
            side,
            contexts,
            cluster,
            self.outbound.connect_timeout_ms,
            joined,
            lambda reason: self._unreachable(side, reason),
            self.origin(),
        ).next()

    def _unreachable(self, side: Side, reason: str) -> None:
        self._tallies.unreachable += 1
        reason = reason or self.outbound.problem or "no healthy instance"
        self._connections.failed("", reason)
        log.warning("upstream cannot be reached: name=%s error=%s", self.outbound.name, reason)
        side.abort()
