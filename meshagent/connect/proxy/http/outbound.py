"""I/O edge: the local side of a sidecar for an upstream that speaks HTTP: the application asks, the chain routes.

Source: "Outbound connection" of builtin-proxy.md of the golden mesh data; `../outbound.py` does the same for layer 4.
What may change here: further filters, by the order they are given in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.inbound import drain, sniffing
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.marks import from_the_application, request_id
from meshagent.connect.proxy.http.routes import IDLE_TIMEOUT_S, Routes, compile_routes
from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer
from meshagent.connect.proxy.peek import Peek
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.told_peer import with_header
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["HttpOutboundListener"]

log = logging.getLogger("proxy.outbound")


class HttpOutboundListener:
    """Accepts the application's requests to one upstream."""

    kind = "http"

    def __init__(
        self,
        outbound: Outbound,
        clusters: Clusters,
        turn: Turn,
        rng: random.Random,
        state: Callable[[], ProxySnapshot],
        tallies: Tallies,
    ) -> None:
        self._state = state
        self._clusters = clusters
        self._turn = turn
        self._door = Door()
        self.live: dict[HttpConnection, str] = {}
        #: Those who have not said yet whom they speak for.
        self._peeking: set[Peek] = set()
        self._tallies = tallies
        self.manager = Manager("outbound", turn.timers, rng, None, lambda: request_id(rng))
        self.manager.filters = (from_the_application,)
        self._compiled: tuple[object, ...] = ()
        #: The routes of the chain, and what whoever hands requests over makes of them.
        self.compiled = Routes([])
        self.finish: Callable[[Routes], Routes] = lambda routes: routes
        self._outbound = outbound
        self.outbound = outbound

    @property
    def outbound(self) -> Outbound:
        """What it works from."""
        return self._outbound

    @outbound.setter
    def outbound(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self.manager.name = outbound.name
        self.manager.min_body_rate = outbound.min_body_rate
        chain = outbound.chain
        if chain is None:
            self.manager.routes = Routes([])
            return
        mirror = self._mirror(outbound.extras.mirror)
        idle_s = IDLE_TIMEOUT_S if outbound.idle_timeout_ms is None else outbound.idle_timeout_ms / 1000.0
        clusters = (self._clusters.of(outbound.key, node) for node in chain.nodes)
        compiled = (chain, outbound.extras, mirror, idle_s, *clusters)
        if compiled != self._compiled:
            self._compiled = compiled
            self.compiled = compile_routes(
                chain, lambda node: self._clusters.of(outbound.key, node), outbound.extras, mirror, idle_s
            )
            self.manager.routes = self.finish(self.compiled)

    def _mirror(self, name: str) -> Cluster | None:
        """The cluster of the upstream that gets copies."""
        if not name:
            return None
        other = next((one for one in self._state().outbound if one.name == name and one.is_http), None)
        if other is None:
            log.warning("the upstream to mirror to is unknown: upstream=%s mirror=%s", self._outbound.name, name)
            return None
        return self._clusters.drawn(other.key)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live) + len(self._peeking)

    async def start(self) -> None:
        """Listen, unless others hand connections over. Raises OSError."""
        one = self._outbound
        if not await self._door.open_for(one, self._accept):
            return
        protocol = one.chain.protocol if one.chain is not None else ""
        log.info("listening: address=%s upstream=%s protocol=%s", one.key, one.name, protocol)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open end with their requests."""
        for peek in list(self._peeking):
            peek.abort()
        if self._door.close() or not self._outbound.listens:
            self.drain()

    def drain(self) -> None:
        """Connections end with their requests."""
        drain(self.live)

    def abort_all(self) -> None:
        """Cut what is open."""
        for connection in list(self.live):
            connection.abort()

    def accept(self) -> asyncio.Protocol:
        """What takes over a connection that the application itself made."""
        return HttpConnection(self._turn, None, self._accepted, self._lost)

    def _accept(self) -> asyncio.Protocol:
        if self._outbound.accept_proxy_protocol:
            return with_header(self.told, self._refused, self._peeking)
        return self.accept()

    def told(self, address: str) -> HttpConnection:
        """A client that speaks for another one."""
        return HttpConnection(self._turn, None, lambda connection: self._accepted(connection, address), self._lost)

    def _refused(self) -> None:
        self._tallies.refused += 1

    def _accepted(self, connection: HttpConnection, address: str = "") -> ConnectionCodec:
        self.live[connection] = ""
        connection.peer = Peer(address or connection.address)
        return sniffing(connection, self._turn, self.manager)

    def _lost(self, connection: HttpConnection) -> None:
        self.live.pop(connection, None)
