"""I/O edge: the local side of a sidecar whose upstream speaks HTTP: each request is routed by itself.

Source: `outbound.py` (listening), `routes.py` (where requests go). What may change here: what else is put together.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.http.codecs import Detect, server_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.connector import MeshConnector
from meshagent.connect.proxy.http.exchange import Exchange
from meshagent.connect.proxy.http.hooks import LocalReply, Telemetry
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.messages import get
from meshagent.connect.proxy.http.pool import HostPool
from meshagent.connect.proxy.http.routes import Routes, compile_routes
from meshagent.connect.proxy.http.streams import Peer, Reset, ServerCodec
from meshagent.connect.proxy.outbound import OutboundListener
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["HttpOutboundListener"]

log = logging.getLogger("proxy.outbound")


class HttpOutboundListener(OutboundListener):
    """Accepts the application's requests to one upstream."""

    def __init__(
        self,
        outbound: Outbound,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        clusters: Clusters,
        state: Callable[[], tuple[ProxySnapshot, Contexts | None]],
        turn: Turn,
        rng: random.Random,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(outbound, clock, tasks, tallies, clusters, state)
        self._turn = turn
        self.manager = Manager("outbound", turn.timers, rng, telemetry, lambda: request_id(rng))
        self.manager.name = outbound.name
        self.manager.filters = (from_the_application,)
        self._connector = MeshConnector(
            turn, clock, tasks, tallies, lambda: self._state()[1], lambda: self.outbound.connect_timeout_ms
        )
        self._routed: tuple[object, ...] = ()

    def follow(self) -> None:
        """Take up what the snapshot says of routes and instances."""
        outbound, clusters = self.outbound, self._clusters
        chain = outbound.chain
        if chain is None:
            self.manager.routes = Routes([])
            return
        found = {key: cluster for key in chain.nodes if (cluster := clusters.of(outbound.key, key)) is not None}
        mirror = self._mirror()
        used = [*found.values(), *([mirror] if mirror is not None else [])]
        for cluster in used:
            for host in cluster.hosts:
                if host.pool is None:
                    breaker = cluster.breaker
                    host.pool = HostPool(host, chain.protocol, self._connector, self._turn.timers, breaker)
        key = (chain, outbound.extras, *map(id, used))
        if key != self._routed:
            self._routed = key
            self.manager.routes = compile_routes(chain, found.get, outbound.extras, mirror)

    def _mirror(self) -> Cluster | None:
        """The cluster of the upstream that gets copies."""
        name = self.outbound.extras.mirror
        if not name:
            return None
        snapshot, _ = self._state()
        other = next((one for one in snapshot.outbound if one.name == name and one.chain is not None), None)
        if other is None:
            log.warning("mirror of unknown upstream: upstream=%s mirror=%s", self.outbound.name, name)
            return None
        return self._clusters.drawn(other.key)

    def drain(self) -> None:
        """Connections close when their requests have ended."""
        for connection in list(self.live):
            if connection.codec is not None:
                connection.codec.drain()
        self._turn.flush()

    def stop_accepting(self) -> None:
        super().stop_accepting()
        self.drain()

    def abort_all(self) -> None:
        self.manager.abort_all(Reset.LOCAL)
        super().abort_all()

    def _accept(self) -> asyncio.BaseProtocol:
        return HttpConnection(self._turn, None, self._ready, self._lost)

    def _lost(self, connection: HttpConnection) -> None:
        self.live.pop(connection, None)

    def _ready(self, connection: HttpConnection) -> Detect:
        self.live[connection] = None
        address = connection.transport.get_extra_info("peername") if connection.transport is not None else None
        connection.peer = Peer(f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "")

        def choose(protocol: str) -> ServerCodec:
            codec = server_codec(protocol, connection, self._turn.timers, self.manager)
            connection.codec = codec
            return codec

        return Detect(connection, choose)


def from_the_application(exchange: Exchange) -> LocalReply | None:
    """What an application says about certificates is not passed on: its sidecar speaks for it."""
    head = exchange.head
    if get(head.headers, b"x-forwarded-client-cert") is not None:
        head.headers = [one for one in head.headers if one[0] != b"x-forwarded-client-cert"]
    if get(head.headers, b"x-forwarded-proto") is None:
        head.headers.append((b"x-forwarded-proto", b"http"))
    return None


def request_id(rng: random.Random) -> bytes:
    """A random UUID (version 4) in its text form."""
    text = b"%032x" % (rng.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
