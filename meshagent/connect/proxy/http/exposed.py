"""I/O edge: one path of the application that others may ask for without mutual TLS, and nothing else.

Plain HTTP on a port of its own. No intention speaks of it, for nobody proves who he is; what a client says of
certificates is taken away. Those made of checks hear the agent's host alone.

Source: surface rows M8, X11 (Envoy's `exposed_path_*` listeners). What may change here: limits.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
from collections.abc import Callable
from typing import cast

from meshagent.clock import Tasks
from meshagent.connect.exposing import Exposed
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.http.application import Application
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.inbound import drain, sniffing
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.marks import WhoAsks
from meshagent.connect.proxy.http.normalizing import Normalizer
from meshagent.connect.proxy.http.policy import Destination, Route
from meshagent.connect.proxy.http.routes import Routes
from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import Inbound, ProxySnapshot

__all__ = ["ExposedListener", "may_ask"]

log = logging.getLogger("proxy.exposed")

#: What may be open at once; a check and a scraper need a few.
MAX_CONNECTIONS = 256


class ExposedListener:
    """Accepts plain HTTP for one path."""

    def __init__(
        self,
        exposed: Exposed,
        state: Callable[[], ProxySnapshot],
        tasks: Tasks,
        tallies: Tallies,
        turn: Turn,
        rng: random.Random,
    ) -> None:
        self.exposed = exposed
        self._tallies = tallies
        self._turn = turn
        self._door = Door()
        self.live: dict[HttpConnection, str] = {}
        self.manager = Manager("inbound", turn.timers, rng)
        self.manager.name = state().service
        self.manager.filters = (Normalizer(lambda: state().mesh.normalization), WhoAsks(lambda: True))
        inbound = Inbound(
            exposed.address, exposed.port, exposed.local_address, exposed.local_port, exposed.local_socket,
            exposed.protocol,
        )  # fmt: skip
        self._application = Application(inbound, turn, tasks)
        wanted = exposed.path.encode()
        route = Route(f"exposed {exposed.path}", ((1.0, Destination(self._application)),))
        self.manager.routes = Routes([(lambda path, _: path == wanted, route)])

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        one = self.exposed
        await self._door.open(self._accept, one.address, one.port)
        log.info("listening: address=%s:%d path=%s protocol=%s", one.address, one.port, one.path, one.protocol)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open end with their requests."""
        if self._door.close():
            drain(self.live)

    def abort_all(self) -> None:
        """Cut what is open."""
        for connection in list(self.live):
            connection.abort()
        self._application.close()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.Protocol:
        return HttpConnection(self._turn, None, self._accepted, self._lost)

    def _accepted(self, connection: HttpConnection) -> ConnectionCodec | None:
        transport = connection.transport
        peer = cast("tuple[str, int] | None", transport.get_extra_info("peername") if transport is not None else None)
        if len(self.live) >= MAX_CONNECTIONS or peer is None or not may_ask(self.exposed, peer[0]):
            self._tallies.refused += 1
            return None
        self.live[connection] = ""
        connection.peer = Peer(connection.address)
        return sniffing(connection, self._turn, self.manager)

    def _lost(self, connection: HttpConnection) -> None:
        self.live.pop(connection, None)


def may_ask(exposed: Exposed, address: str) -> bool:
    """Whether somebody at this address may."""
    if not exposed.sources:
        return True
    try:
        peer = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    return any((mapped or peer) in ipaddress.ip_network(source) for source in exposed.sources)
