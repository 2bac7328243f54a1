"""I/O edge: the listeners of an ingress or API gateway: the world comes in, with or without TLS.

A listener only accepts: connections go to the upstream behind it, requests to that of their host, and what happens then
is what happens to an application's own. Another set of hosts, routes or certificates is taken up in place: open
connections stay.

Source: surface rows M27, M31-M34. What may change here: further kinds of listeners.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from meshagent.clock import Clock, Tasks
from meshagent.connect.gateways.edge import Edge, EdgeListener
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.edge_contexts import EdgeContexts
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.limits.limiter import RateLimiter
from meshagent.connect.proxy.outbound import OutboundListener
from meshagent.connect.proxy.peek import Refuse
from meshagent.connect.proxy.pump import Side
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.snapshot import ProxySnapshot

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.connection import Turn
    from meshagent.connect.proxy.http.edge import HttpEdge
    from meshagent.connect.proxy.http.manager import Manager

__all__ = ["HANDSHAKE_S", "EdgeGateway", "Listens", "Surroundings", "TcpEdge"]

log = logging.getLogger("proxy.edge")

#: For a client's TLS handshake.
HANDSHAKE_S = 10.0
#: How often certificates of the file system are looked at.
_LOOK_S = 5.0

_Place: TypeAlias = "tuple[str, int, bool]"


class Listens(Protocol):
    """What a sidecar starts and leaves."""

    @property
    def open_connections(self) -> int:
        """How many there are."""

    async def start(self) -> None:
        """Listen. Raises OSError."""

    def stop_accepting(self) -> None:
        """Take no new connections."""

    def abort_all(self) -> None:
        """Cut what is open."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a gateway has of its sidecar: `upstream` by its key, `start` to listen, `leave` for what is replaced,
    `observe` for what requests are told to, `seen` for what connections are told to (direction, upstream)."""

    clock: Clock
    tasks: Tasks
    rng: random.Random
    tallies: Tallies
    state: Callable[[], ProxySnapshot]
    turn: Callable[[], Turn]
    upstream: Callable[[str], object]
    start: Callable[[Listens], Awaitable[None]]
    leave: Callable[[Listens], None]
    observe: Callable[[Manager, str, str], None]
    seen: Callable[[str, str], Connections]
    limiter: RateLimiter


class EdgeGateway:
    """All listeners of one gateway."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._wanted = Edge(())
        self._contexts: dict[str, EdgeContexts] = {}
        self.listeners: dict[_Place, TcpEdge | HttpEdge] = {}
        self._problems: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._following = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether all listeners are open."""
        return all(place in self.listeners for place in self._places(self._wanted))

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return sum(one.open_connections for one in self.listeners.values())

    def origin_of(self, key: str) -> None:
        """Instances of upstreams are those of the mesh."""

    async def follow(self, wanted: Edge | None) -> None:
        """Open, change and close listeners."""
        async with self._following:
            await self._follow(wanted if wanted is not None else Edge(()))

    async def _follow(self, wanted: Edge) -> None:
        self._wanted = wanted
        self._certificates(wanted)
        places = self._places(wanted)
        for place in [place for place in self.listeners if place not in places]:
            held = self.listeners.pop(place)
            held.stop_accepting()
            self._around.leave(held)
            log.info("listener closed: address=%s:%d", *place[:2])
        for place, listener in places.items():
            present = self.listeners.get(place)
            if present is not None:
                present.listener = listener
                continue
            contexts = self._contexts[listener.name]
            if listener.tls is not None and contexts.context is None:
                continue  # without certificates nobody comes in
            address = place[0]
            made = self._made(listener, address, contexts)
            try:
                await self._around.start(made)
            except OSError as error:
                log.error("cannot listen: address=%s:%d error=%s", address, listener.port, error.strerror)
                made.abort_all()
                continue
            self.listeners[place] = made

    # --- inside ------------------------------------------------------------------------------------------------

    def _made(self, listener: EdgeListener, address: str, contexts: EdgeContexts) -> TcpEdge | HttpEdge:
        if not listener.is_http:
            return TcpEdge(listener, address, contexts, self._around)
        from meshagent.connect.proxy.http.edge import HttpEdge  # with 3 MB of HTTP

        made = HttpEdge(listener, address, contexts, self._around)
        self._around.observe(made.manager, "outbound", "")
        return made

    def _places(self, wanted: Edge) -> dict[_Place, EdgeListener]:
        """Where it listens. Listeners that share a port are one: the first counts, with the hosts of all."""
        found: dict[_Place, EdgeListener] = {}
        for address in wanted.addresses:
            for one in wanted.listeners:
                found.setdefault((address, one.port, one.is_http), one)
        return found

    def _certificates(self, wanted: Edge) -> None:
        names = {one.name for one in wanted.listeners}
        self._contexts = {name: held for name, held in self._contexts.items() if name in names}
        problems = set(wanted.problems)
        for one in wanted.listeners:
            found = self._contexts.setdefault(one.name, EdgeContexts()).follow(one, self._around.state())
            problems |= {found} - {""}
        for problem in sorted(problems - self._problems):
            log.warning("%s", problem)
        self._problems = problems
        files = any(
            certificate.files
            for one in wanted.listeners
            for certificate in (one.tls.certificates if one.tls is not None else ())
        )
        if files and self._looking is None:
            self._looking = self._around.tasks.start(self._look(), name="certificate files")
        elif not files and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        """Certificates of the file system are renewed by somebody else."""
        while True:
            await self._around.clock.sleep(_LOOK_S)
            await self.follow(self._wanted)


class TcpEdge:
    """Takes connections for one upstream."""

    def __init__(self, listener: EdgeListener, address: str, contexts: EdgeContexts, around: Surroundings) -> None:
        self.listener = listener
        self._address = address
        self._contexts = contexts
        self._around = around
        self._door = Door()
        self._shaking: set[Side] = set()

    @property
    def open_connections(self) -> int:
        """Those that shake hands; the others are their upstream's."""
        return len(self._shaking)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._door.open(self._accept, self._address, self.listener.port)
        log.info("listening: address=%s:%d protocol=tcp", self._address, self.listener.port)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        self._door.close()

    def abort_all(self) -> None:
        """Cut those that shake hands."""
        for side in list(self._shaking):
            side.abort()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.BaseProtocol:
        upstream = self._around.upstream(self.listener.upstream)
        if not isinstance(upstream, OutboundListener):
            self._around.tallies.refused += 1
            return Refuse()
        if self.listener.tls is None:
            return upstream.accept()
        context = self._contexts.context
        if context is None:
            self._around.tallies.refused += 1
            return Refuse()
        side = Side(Tls(context, server_side=True), lambda side: self._shaken(side, upstream), self._ended)
        self._shaking.add(side)
        loop = asyncio.get_running_loop()
        side.timer = loop.call_later(HANDSHAKE_S, self._too_slow, side)
        return side

    def _shaken(self, side: Side, upstream: OutboundListener) -> None:
        if side.timer is not None:
            side.timer.cancel()
        self._shaking.discard(side)
        upstream.take(side)

    def _too_slow(self, side: Side) -> None:
        if side in self._shaking:
            side.fail("TLS handshake timed out")
            side.abort()

    def _ended(self, side: Side, why: str) -> None:
        if side in self._shaking:
            self._shaking.discard(side)
            self._around.tallies.failed_handshakes += 1
            log.debug("connection ended before it began: reason=%s", why)
