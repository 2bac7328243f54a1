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
from meshagent.connect.proxy.http.routes import Routes, compile_routes
from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["HttpOutboundListener"]

log = logging.getLogger("proxy.outbound")


class HttpOutboundListener:
    """Accepts the application's requests to one upstream."""

    def __init__(
        self,
        outbound: Outbound,
        clusters: Clusters,
        turn: Turn,
        rng: random.Random,
        state: Callable[[], ProxySnapshot],
    ) -> None:
        self._state = state
        self._clusters = clusters
        self._turn = turn
        self._door = Door()
        self.live: dict[HttpConnection, str] = {}
        self.manager = Manager("outbound", turn.timers, rng, None, lambda: request_id(rng))
        self.manager.filters = (from_the_application,)
        self._compiled: tuple[object, ...] = ()
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
        chain = outbound.chain
        if chain is None:
            self.manager.routes = Routes([])
            return
        mirror = self._mirror(outbound.extras.mirror)
        compiled = (chain, outbound.extras, mirror, *(self._clusters.of(outbound.key, node) for node in chain.nodes))
        if compiled != self._compiled:
            self._compiled = compiled
            self.manager.routes = compile_routes(
                chain, lambda node: self._clusters.of(outbound.key, node), outbound.extras, mirror
            )

    def _mirror(self, name: str) -> Cluster | None:
        """The cluster of the upstream that gets copies."""
        if not name:
            return None
        other = next((one for one in self._state().outbound if one.name == name and one.is_http), None)
        if other is None:
            log.warning("the upstream to mirror to is unknown: upstream=%s mirror=%s", self._outbound.name, name)
            return None
        return self._clusters.drawn(other.key)

    async def start(self) -> None:
        """Listen, unless others hand connections over. Raises OSError."""
        one = self._outbound
        if not one.listens:
            return
        if one.socket_path:
            await self._door.open_socket(self.accept, one.socket_path, one.socket_mode)
        else:
            await self._door.open(self.accept, one.address, one.port)
        protocol = one.chain.protocol if one.chain is not None else ""
        log.info("listening: address=%s upstream=%s protocol=%s", one.key, one.name, protocol)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open end with their requests."""
        if self._door.close() or not self._outbound.listens:
            drain(self.live)

    def abort_all(self) -> None:
        """Cut what is open."""
        for connection in list(self.live):
            connection.abort()

    def accept(self) -> asyncio.Protocol:
        """What takes a new connection over."""
        return HttpConnection(self._turn, None, self._accepted, self._lost)

    def _accepted(self, connection: HttpConnection) -> ConnectionCodec:
        self.live[connection] = ""
        connection.peer = Peer(connection.address)
        return sniffing(connection, self._turn, self.manager)

    def _lost(self, connection: HttpConnection) -> None:
        self.live.pop(connection, None)
