"""I/O edge: the local side of a sidecar for an upstream that speaks HTTP: the application asks, the chain routes.

Source: "Outbound connection" of builtin-proxy.md of the golden mesh data; `../outbound.py` does the same for layer 4.
What may change here: further filters, by the order they are given in.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random

from meshagent.connect.chain import Chain
from meshagent.connect.l7 import Extras
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.inbound import drain, sniffing
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.routes import Routes, compile_routes
from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer
from meshagent.connect.proxy.outbound import remove_socket
from meshagent.connect.snapshot import Outbound

__all__ = ["HttpOutboundListener"]

log = logging.getLogger("proxy.outbound")


class HttpOutboundListener:
    """Accepts the application's requests to one upstream."""

    def __init__(self, outbound: Outbound, clusters: Clusters, turn: Turn, rng: random.Random) -> None:
        self._clusters = clusters
        self._turn = turn
        self._server: asyncio.Server | None = None
        self.live: dict[HttpConnection, str] = {}
        self.manager = Manager("outbound", turn.timers, rng)
        self._compiled: tuple[Chain | None, Extras] = (None, outbound.extras)
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
        elif (chain, outbound.extras) != self._compiled:
            self.manager.routes = compile_routes(
                chain, lambda node: self._clusters.of(outbound.key, node), outbound.extras
            )
        self._compiled = (chain, outbound.extras)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        one = self._outbound
        if one.socket_path:
            remove_socket(one.socket_path)
            self._server = await loop.create_unix_server(self._accept, one.socket_path)
            os.chmod(one.socket_path, int(one.socket_mode, 8) if one.socket_mode else 0o600)
        else:
            self._server = await loop.create_server(self._accept, one.address, one.port, backlog=1024)
        protocol = one.chain.protocol if one.chain is not None else ""
        log.info("listening: address=%s upstream=%s protocol=%s", one.key, one.name, protocol)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open end with their requests."""
        if self._server is not None:
            self._server.close()
            self._server = None
            if self._outbound.socket_path:
                remove_socket(self._outbound.socket_path)
            drain(self.live)

    def abort_all(self) -> None:
        """Cut what is open."""
        for connection in list(self.live):
            connection.abort()

    def _accept(self) -> asyncio.Protocol:
        return HttpConnection(self._turn, None, self._accepted, self._lost)

    def _accepted(self, connection: HttpConnection) -> ConnectionCodec:
        self.live[connection] = ""
        connection.peer = Peer(connection.address)
        return sniffing(connection, self._turn, self.manager)

    def _lost(self, connection: HttpConnection) -> None:
        self.live.pop(connection, None)
