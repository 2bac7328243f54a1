"""I/O edge: the public side of a sidecar whose application speaks HTTP: a peer proves who it is, then each of its
requests is allowed or denied.

A stream that intentions no longer allow is cut when they change. Without a leaf, and without a snapshot, nobody comes
in; a connection without a valid identity never gets to send a request.

Source: `inbound.py` (handshakes), `rbac.py` (decisions); surface rows M50-M53. What may change here: what else is put
together.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect import spiffe
from meshagent.connect.intentions import Decision
from meshagent.connect.proxy.authz import identify
from meshagent.connect.proxy.http.codecs import Detect, server_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.connector import LocalConnector
from meshagent.connect.proxy.http.exchange import Exchange
from meshagent.connect.proxy.http.hooks import LocalReply, Telemetry
from meshagent.connect.proxy.http.local_cluster import LocalCluster
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.policy import Destination, Route
from meshagent.connect.proxy.http.rbac import Rbac
from meshagent.connect.proxy.http.routes import DEFAULT_TIMEOUT_S, Routes
from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer, Reset, ServerCodec
from meshagent.connect.proxy.inbound import InboundListener, Refuse
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import Inbound, ProxySnapshot

__all__ = ["HttpInboundListener"]

log = logging.getLogger("proxy.inbound")


class HttpInboundListener(InboundListener):
    """Accepts mutual TLS and gives the requests inside to the application."""

    def __init__(
        self,
        inbound: Inbound,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        state: Callable[[], ProxySnapshot],
        turn: Turn,
        rng: random.Random,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(inbound, clock, tasks, tallies, state)
        self._turn = turn
        self.manager = Manager("inbound", turn.timers, rng, telemetry)
        self._connector = LocalConnector(turn, tasks, lambda: self.inbound)
        self._cluster = LocalCluster(state(), inbound, self._connector, turn.timers)
        self._rbac: Rbac | None = None
        self._own = ""
        self.follow()

    def follow(self) -> None:
        """Take up what the snapshot says."""
        snapshot = self._state()
        inbound = self.inbound
        self.manager.name = snapshot.service
        self._own = spiffe.format(spiffe.service_id(snapshot.trust_domain, snapshot.datacenter, snapshot.service))
        self._cluster.follow(snapshot, inbound)
        timeout_s = inbound.request_timeout_ms / 1000.0 or DEFAULT_TIMEOUT_S
        route = Route("local_app", ((1.0, Destination(self._cluster)),), timeout_s)
        self.manager.routes = Routes([(None, route)])
        self._rbac = Rbac(snapshot, self._tallies)
        self.manager.filters = (self._rbac, say_who_asks)

    def recheck(self) -> int:
        """Cut the connections and requests that the snapshot of now does not allow; how many."""
        self.follow()
        snapshot, rbac = self._state(), self._rbac
        cut = 0
        for connection, identity in list(self.live.items()):
            found = identify(snapshot, identity) if identity else None
            if isinstance(found, Decision):
                cut += 1
                self._denied(identity, found, live=True)
                connection.abort()
        for exchange in list(self.manager.active):
            decision = rbac.decide(exchange.peer.identity, exchange.head) if rbac is not None else None
            if decision is not None and not decision.allowed:
                cut += 1
                self._denied(exchange.peer.identity, decision, live=True)
                exchange.abort(Reset.LOCAL, "rbac_access_denied")
        self._turn.flush()
        return cut

    def stop_accepting(self) -> None:
        super().stop_accepting()
        for connection in list(self.live):
            if connection.codec is not None:
                connection.codec.drain()
        self._turn.flush()

    def abort_all(self) -> None:
        self.manager.abort_all(Reset.LOCAL)
        super().abort_all()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.BaseProtocol:
        contexts = self.contexts
        limit = self.inbound.max_connections
        if contexts is None or (limit and len(self.live) >= limit):
            self._tallies.refused += 1
            return Refuse()
        connection = HttpConnection(self._turn, Tls(contexts.server, server_side=True), self._proven, self._lost)
        self.live[connection] = ""
        self._turn.timers.after(self.inbound.handshake_timeout_ms / 1000.0, lambda: self._slow(connection))
        return connection

    def _slow(self, connection: HttpConnection) -> None:
        if self.live.get(connection) == "":
            connection.failure = "TLS handshake timed out"
            connection.abort()

    def _proven(self, connection: HttpConnection) -> ConnectionCodec | None:
        tls = connection.tls
        if tls is None:
            return None
        identity = tls.identity
        found = identify(self._state(), identity)
        if not isinstance(found, Decision) and tls.valid_until <= self._clock.now().timestamp():
            found = Decision(False, "the certificate has ended")
        if isinstance(found, Decision):
            self._denied(identity, found, live=False)
            return None
        self.live[connection] = identity
        self._tallies.accepted += 1
        self._tallies.resumed += tls.resumed
        address = connection.transport.get_extra_info("peername") if connection.transport is not None else None
        digest = hashlib.sha256(tls.peer_certificate).hexdigest()
        connection.peer = Peer(f"{address[0]}:{address[1]}" if address else "", identity, digest, self._own)

        def choose(protocol: str) -> ServerCodec:
            codec = server_codec(protocol, connection, self._turn.timers, self.manager)
            connection.codec = codec
            return codec

        if tls.alpn == "h2":
            return choose("h2")
        return Detect(connection, choose)

    def _lost(self, connection: HttpConnection) -> None:
        if not self.live.pop(connection, "") and connection.failure:
            self._tallies.failed_handshakes += 1
            log.debug("connection ended before it began: reason=%s", connection.failure)


def say_who_asks(exchange: Exchange) -> LocalReply | None:
    """`x-forwarded-client-cert`: ours comes last, and is the one to believe."""
    peer = exchange.peer
    exchange.head.headers.append((b"x-forwarded-client-cert", peer.forwarded))
    return None
