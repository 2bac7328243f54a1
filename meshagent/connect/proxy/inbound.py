"""I/O edge: the public side of a sidecar: a peer proves who it is, may come in, and only then the application is
dialled.

A connection that intentions no longer allow is cut when they change, not when it ends. Without a leaf, and without a
snapshot, nobody comes in.

Source: "Inbound connection" of builtin-proxy.md of the golden mesh data, its weak points mended (application dialled
before the handshake, silent clients kept for ever, half-close lost, live connections not looked at again). What may
change here: other layers between TLS and the application.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect.intentions import Decision
from meshagent.connect.proxy.authz import authorize
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.idle import IdleWatch
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.limits.limiter import RateLimiter
from meshagent.connect.proxy.local_app import join_application
from meshagent.connect.proxy.passage import Passage
from meshagent.connect.proxy.peek import Refuse
from meshagent.connect.proxy.pump import Side, address_of, end_idle
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.snapshot import Inbound, ProxySnapshot
from meshagent.errors import Unavailable

__all__ = ["InboundListener"]

log = logging.getLogger("proxy.inbound")


class InboundListener:
    """Accepts mutual TLS and joins each connection to the application."""

    def __init__(
        self,
        inbound: Inbound,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        state: Callable[[], ProxySnapshot],
        connections: Connections,
        limiter: RateLimiter,
    ) -> None:
        self.inbound = inbound
        self._connections = connections
        self.limiter = limiter
        self.contexts: Contexts | None = None
        self._clock = clock
        self._tasks = tasks
        self._tallies = tallies
        self._state = state
        self._door = Door()
        #: Peers by the side that faces them, with their identity once it is known.
        self.live: dict[Side, str] = {}
        self._idle: IdleWatch[Side] = IdleWatch()
        #: Those who prove nothing, where that is permitted.
        self.passage = Passage(lambda: self.inbound, tasks, tallies, connections)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live) + len(self.passage)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        inbound = self.inbound
        await self._door.open(self._accept, inbound.address, inbound.port)
        log.info("listening: address=%s:%d service=%s", inbound.address, inbound.port, self._state().service)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        self._door.close()

    def abort_all(self) -> None:
        """Cut what is open."""
        for side in list(self.live):
            side.abort()
        self.passage.cut()

    def end_idle(self, now: float) -> None:
        """End the connections over which nothing has passed for too long."""
        sides = (*(side for side, identity in self.live.items() if identity), *self.passage.sides)
        end_idle(self._idle, sides, now, self.inbound.idle_timeout_ms)

    def recheck(self) -> int:
        """Cut the connections that the snapshot of now does not allow; how many."""
        cut = 0
        snapshot = self._state()
        for side, identity in list(self.live.items()):
            if not identity:
                continue
            decision = authorize(snapshot, identity)
            if not decision.allowed:
                cut += 1
                self._denied(identity, decision, live=True)
                if side.other is not None:
                    side.other.abort()
                side.abort()
        return cut if snapshot.mesh.permissive else cut + self.passage.cut()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.BaseProtocol:
        contexts = self.contexts
        limit = self.inbound.max_connections
        full = bool(limit) and self.open_connections >= limit
        if contexts is None or full or not self.limiter.may_connect(self._clock.monotonic()):
            self._tallies.refused += 1
            return Refuse()
        return self.passage.peek(self._proven) if self._state().mesh.permissive else self._proven()

    def take(self) -> Side:
        """What takes a connection over that came in elsewhere."""
        return self._proven()

    def _proven(self) -> Side:
        """A protocol for a connection that has to prove who it is from."""
        contexts = self.contexts
        if contexts is None:
            raise Unavailable("there is no leaf certificate")
        side = Side(Tls(contexts.server, server_side=True), self._shaken, self._closed)
        self.live[side] = ""
        timer = asyncio.get_running_loop().call_later(self.inbound.handshake_timeout_ms / 1000.0, self._too_slow, side)
        side.timer = timer
        return side

    def _too_slow(self, side: Side) -> None:
        if side in self.live and not self.live[side]:
            side.fail("TLS handshake timed out")
            side.abort()

    def _shaken(self, side: Side) -> None:
        if side.timer is not None:
            side.timer.cancel()
        tls = side.tls
        identity = tls.identity if tls is not None else ""
        decision = authorize(self._state(), identity)
        if tls is not None and tls.valid_until <= self._clock.now().timestamp():
            decision = Decision(False, "the certificate has ended")
        if decision.audited:
            log.info("intention audit: would be denied: source=%s reason=%s", identity, decision.reason)
        if not decision.allowed:
            self._denied(identity, decision, live=False)
            self._connections.refused(address_of(side.transport), identity, decision.reason)
            side.fail("denied")
            return
        self.live[side] = identity
        self._tallies.accepted += 1
        self._tallies.resumed += bool(tls is not None and tls.resumed)
        side.noted = self._connections.joined(identity, audited=decision.audited)
        side.pause()
        self._tasks.start(self._dial(side), name="inbound connection")

    def _denied(self, identity: str, decision: Decision, *, live: bool) -> None:
        self._tallies.denied += 1
        self._connections.denied(identity)
        word = "cut" if live else "denied"
        log.warning("connection %s: source=%s reason=%s", word, identity or "(none)", decision.reason)

    async def _dial(self, side: Side) -> None:
        inbound = self.inbound
        why = await join_application(side, inbound)
        if why:
            self._tallies.unreachable += 1
            self._connections.failed(self.live.get(side, ""), why)
            log.warning(
                "the application cannot be reached: address=%s:%d error=%s",
                inbound.local_address, inbound.local_port, why,
            )  # fmt: skip
            side.abort()

    def _closed(self, side: Side, why: str) -> None:
        if side.timer is not None:
            side.timer.cancel()
        noted = side.noted
        if noted is not None:
            other = side.other
            self._connections.ended(noted, side.read_bytes, other.read_bytes if other is not None else 0, why)
        if not self.live.pop(side, "") and why:
            if why != "denied":
                self._tallies.failed_handshakes += 1
                self._connections.refused(side.peer_address, "", why)
            log.debug("connection ended before it began: reason=%s", why)
