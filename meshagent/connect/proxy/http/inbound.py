"""I/O edge: the public side of a sidecar whose application speaks HTTP: a peer proves who it is, each request is
decided.

A denied request is answered, its connection stays; requests on their way that intentions no longer allow are ended when
they change. A peer that is not of the mesh at all is not heard.

Source: "Inbound connection" of builtin-proxy.md of the golden mesh data; `../inbound.py` does the same for layer 4.
What may change here: further filters, by the order they are given in.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect import spiffe
from meshagent.connect.proxy.authz import refused
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.http.application import Application
from meshagent.connect.proxy.http.codecs import server_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.key_sets import KeySets
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.marks import WhoAsks
from meshagent.connect.proxy.http.normalizing import Normalizer
from meshagent.connect.proxy.http.policy import Destination, Route
from meshagent.connect.proxy.http.rbac import Rbac
from meshagent.connect.proxy.http.replies import DENIED
from meshagent.connect.proxy.http.routes import IDLE_TIMEOUT_S, Routes
from meshagent.connect.proxy.http.sniffing import Sniffing
from meshagent.connect.proxy.http.streams import ConnectionCodec, Peer
from meshagent.connect.proxy.http.tokens import Tokens
from meshagent.connect.proxy.idle import IdleWatch
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.passage import Passage
from meshagent.connect.proxy.pump import Side, end_idle
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.snapshot import Inbound, ProxySnapshot
from meshagent.errors import Unavailable

__all__ = ["HttpInboundListener"]

log = logging.getLogger("proxy.inbound")


class HttpInboundListener:
    """Accepts mutual TLS and passes requests to the application."""

    def __init__(
        self,
        inbound: Inbound,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        state: Callable[[], ProxySnapshot],
        connections: Connections,
        turn: Turn,
        rng: random.Random,
    ) -> None:
        self.contexts: Contexts | None = None
        #: The limit of connections a second.
        self.may_connect: Callable[[], bool] = lambda: True
        self._clock = clock
        self._tasks = tasks
        self._tallies = tallies
        self._state = state
        self._turn = turn
        self._door = Door()
        #: Peers, with their identity once it is known.
        self.live: dict[HttpConnection, str] = {}
        self._connections = connections
        self.manager = Manager("inbound", turn.timers, rng)
        self._key_sets = KeySets(clock, tasks)
        self._rbac = Rbac(state, self._denied, self._tokens)
        self.manager.filters = (
            Normalizer(lambda: state().mesh.normalization),
            self._rbac,
            WhoAsks(lambda: state().mesh.sanitize_xfcc),
        )
        self._idle: IdleWatch[Side] = IdleWatch()
        #: Those who prove nothing, where that is permitted: bytes, whatever the application speaks.
        self.passage = Passage(lambda: self.inbound, tasks, tallies, connections)
        self._application: Application | None = None
        self._inbound = inbound
        self.inbound = inbound

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live) + len(self.passage)

    @property
    def inbound(self) -> Inbound:
        """What it works from."""
        return self._inbound

    @inbound.setter
    def inbound(self, inbound: Inbound) -> None:
        held = self._application
        if held is not None and inbound == self._inbound:
            return
        self._inbound = inbound
        self._application = Application(inbound, self._turn, self._tasks)
        self.manager.name = self._state().service
        self.manager.min_body_rate = inbound.min_body_rate
        timeout_s = inbound.request_timeout_ms / 1000.0
        idle_s = IDLE_TIMEOUT_S if inbound.idle_timeout_ms is None else inbound.idle_timeout_ms / 1000.0
        route = Route("default", ((1.0, Destination(self._application)),), timeout_s=timeout_s, idle_timeout_s=idle_s)
        self.manager.routes = Routes([(None, route)])
        if held is not None:
            held.close()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self._key_sets.follow(self._state().jwt_providers)
        inbound = self._inbound
        await self._door.open(self._accept, inbound.address, inbound.port)
        log.info("listening: address=%s:%d service=%s protocol=%s", inbound.address, inbound.port,
                 self._state().service, inbound.protocol)  # fmt: skip

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open end with their requests."""
        if self._door.close():
            drain(self.live)

    def abort_all(self) -> None:
        """Cut what is open."""
        for connection in list(self.live):
            connection.abort()
        self.passage.cut()

    def end_idle(self, now: float) -> None:
        """End the connections without TLS over which nothing has passed for too long; requests have timers."""
        end_idle(self._idle, self.passage.sides, now, self._inbound.idle_timeout_ms)

    def recheck(self) -> int:
        """End the requests on their way that the snapshot of now does not allow; how many."""
        self._key_sets.follow(self._state().jwt_providers)
        cut = 0
        for exchange in list(self.manager.active):
            decision = self._rbac.decide(exchange)
            if not decision.allowed:
                cut += 1
                self._denied()
                log.warning("request cut: source=%s reason=%s", exchange.peer.identity, decision.reason)
                exchange.reply(DENIED)
        snapshot = self._state()
        for connection, identity in list(self.live.items()):
            if identity and refused(snapshot, identity):
                connection.abort()
        return cut if snapshot.mesh.permissive else cut + self.passage.cut()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.Protocol:
        limit = self._inbound.max_connections
        if self.contexts is None or (limit and self.open_connections >= limit) or not self.may_connect():
            self._tallies.refused += 1
            return _Refuse()
        return self.passage.peek(self._proven) if self._state().mesh.permissive else self._proven()

    def take(self) -> HttpConnection:
        """What takes a connection over that came in elsewhere."""
        return self._proven()

    def _proven(self) -> HttpConnection:
        """A protocol for a connection that has to prove who it is from."""
        contexts = self.contexts
        if contexts is None:
            raise Unavailable("there is no leaf certificate")
        tls = Tls(contexts.server, server_side=True)
        connection = HttpConnection(self._turn, tls, self._shaken, self._lost)
        self.live[connection] = ""
        timeout_s = self._inbound.handshake_timeout_ms / 1000.0
        connection.timer = self._turn.timers.after(timeout_s, lambda: self._too_slow(connection))
        return connection

    def _too_slow(self, connection: HttpConnection) -> None:
        if connection.codec is None and connection in self.live:
            connection.fail("TLS handshake timed out")
            connection.abort()

    def _shaken(self, connection: HttpConnection) -> ConnectionCodec | None:
        tls = connection.tls
        if connection.timer is not None:
            connection.timer.cancel()
        if tls is None:
            return None
        snapshot = self._state()
        identity = tls.identity
        reason = refused(snapshot, identity)
        if not reason and tls.valid_until <= self._clock.now().timestamp():
            reason = "the certificate has ended"
        if reason:
            self._denied()
            self._connections.refused(connection.address, identity, reason)
            log.warning("connection denied: source=%s reason=%s", identity or "(none)", reason)
            return None
        self.live[connection] = identity
        self._tallies.accepted += 1
        self._tallies.resumed += tls.resumed
        connection.peer = Peer(
            connection.address,
            identity,
            hashlib.sha256(tls.peer_certificate).hexdigest(),
            spiffe.format(spiffe.service_id(snapshot.trust_domain, snapshot.datacenter, snapshot.service)),
        )
        if tls.alpn:
            return server_codec(tls.alpn, connection, self._turn.timers, self.manager)
        return sniffing(connection, self._turn, self.manager)

    def _lost(self, connection: HttpConnection) -> None:
        if connection.timer is not None:
            connection.timer.cancel()
        if not self.live.pop(connection, "") and connection.failure:
            self._tallies.failed_handshakes += 1
            self._connections.refused(connection.failed_address, "", connection.failure)
            log.debug("connection ended before it began: reason=%s", connection.failure)

    def _tokens(self, snapshot: ProxySnapshot) -> Tokens:
        self._key_sets.follow(snapshot.jwt_providers)
        return Tokens(snapshot.jwt_providers, self._key_sets.of, self._clock.now)

    def _denied(self) -> None:
        self._tallies.denied += 1


def sniffing(connection: HttpConnection, turn: Turn, manager: Manager) -> Sniffing:
    """A codec that becomes the one that the first bytes ask for."""

    def known(protocol: str) -> ConnectionCodec:
        codec = connection.codec = server_codec(protocol, connection, turn.timers, manager)
        return codec

    return Sniffing(connection, turn.timers, known)


def drain(live: dict[HttpConnection, str]) -> None:
    """Connections end when their requests have."""
    for connection in list(live):
        if connection.codec is None:
            connection.abort()
        else:
            connection.codec.drain()


class _Refuse(asyncio.Protocol):
    """A connection over the limit, or before there is a leaf."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
