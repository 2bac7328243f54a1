"""I/O edge: the one listener to which everything is redirected that an application sends (transparent mode).

The kernel tells where each connection was meant for. An address of a service hands it to that upstream's listener, an
instance's own is dialled over mutual TLS, all else is dialled as it is. A connection that was redirected by nobody, or
that this sidecar made itself, is refused: it would come back for ever.

Source: surface rows M10, X9. What may change here: only the way to the listeners; what an address means is
`destinations.py`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Collection
from typing import Any, cast

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.destinations import Destinations, Instance, Nowhere, Service
from meshagent.connect.proxy.dial import Dial, Dialler
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.idle import IdleWatch
from meshagent.connect.proxy.original_destination import original_destination
from meshagent.connect.proxy.pump import Side, end_idle, join
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import RemoteProtocolError

__all__ = ["OUTSIDE", "TransparentListener"]

log = logging.getLogger("proxy.transparent")

#: Envoy's name for what leaves the mesh.
OUTSIDE = "original-destination"
_CONNECT_TIMEOUT_S = 5.0
#: Where the kernel redirects what this host sends itself.
_ADDRESSES = ("127.0.0.1", "::1")
#: What binding fails with on a host without IPv6.
_NO_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL}
_LOOP = "it comes from this proxy itself: the redirection does not leave the user alone that the proxy runs as"

Place = tuple[str, int]


class TransparentListener:
    """Accepts whatever the application sends. `accept_of` gives what takes over for an upstream."""

    def __init__(
        self,
        port: int,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        clusters: Clusters,
        state: Callable[[], tuple[ProxySnapshot, Contexts | None]],
        accept_of: Callable[[str], Callable[[], asyncio.BaseProtocol] | None],
        seen: Callable[[str], Connections],
    ) -> None:
        """`seen` gives what counts the connections to an upstream."""
        self.port = port
        self._tasks = tasks
        self._tallies = tallies
        self._clusters = clusters
        self._state = state
        self._accept_of = accept_of
        self._seen = seen
        self._dialler = Dialler(clock, tasks, tallies)
        self._doors: list[Door] = []
        self._destinations: Destinations | None = None
        self._of: ProxySnapshot | None = None
        self._outside: Connections | None = None
        #: The application's side of what no upstream's listener has, with the instance it uses.
        self.live: dict[Side, tuple[Cluster, Host] | None] = {}
        self._idle: IdleWatch[Side] = IdleWatch()
        #: Our ends of the connections to the outside.
        self._dialled: set[Place] = set()

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        for address in _ADDRESSES:
            door = Door()
            try:
                await door.open(lambda: _Arrival(self._arrived), address, self.port)
            except OSError as error:
                if self._doors and error.errno in _NO_FAMILY:
                    continue
                self.stop_accepting()
                raise
            self._doors.append(door)
        log.info("listening: address=%s:%d for whatever is redirected here", _ADDRESSES[0], self.port)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        for door in self._doors:
            door.close()
        self._doors.clear()

    def abort_all(self) -> None:
        """Cut what is open."""
        for side in list(self.live):
            side.abort()

    def end_idle(self, now: float) -> None:
        """End the connections over which nothing has passed for an hour."""
        end_idle(self._idle, self.live, now, None)

    # --- one connection ----------------------------------------------------------------------------------------

    def _arrived(self, transport: asyncio.Transport) -> None:
        handle = transport.get_extra_info("socket")
        here, peer = _place(transport, "sockname"), _place(transport, "peername")
        try:
            meant = original_destination(handle) if handle is not None else None
        except RemoteProtocolError as error:
            self._refuse(transport, peer, None, str(error))
            return
        if meant is None or meant == here:
            self._refuse(transport, peer, meant, "nobody redirected it here")
            return
        if peer in self._dialled:
            self._refuse(transport, peer, meant, _LOOP)
            return
        where = self._known().of(*meant)
        if isinstance(where, Nowhere):
            self._refuse(transport, peer, meant, where.reason)
            return
        if isinstance(where, Service):
            accept = self._accept_of(where.key)
            if accept is None:
                self._refuse(transport, peer, meant, "its upstream has no listener yet")
                return
            _hand_over(transport, accept())
        elif isinstance(where, Instance):
            _hand_over(transport, Side(None, lambda side: self._to_instance(side, where, meant), self._closed))
        else:
            _hand_over(transport, Side(None, lambda side: self._to_outside(side, meant), self._closed))

    def _known(self) -> Destinations:
        snapshot, _ = self._state()
        if self._destinations is None or self._of is not snapshot:
            self._destinations, self._of = Destinations(snapshot), snapshot
        return self._destinations

    def _refuse(self, transport: asyncio.Transport, peer: Place, meant: Place | None, reason: str) -> None:
        self._tallies.refused += 1
        self._outside_seen().failed("", reason)
        log.warning("connection refused: source=%s destination=%s reason=%s", _text(peer), _text(meant), reason)
        transport.abort()

    def _to_instance(self, side: Side, where: Instance, meant: Place) -> None:
        """Mutual TLS to one instance and no other."""
        _, contexts = self._state()
        found = self._clusters.host(where.key, where.host)
        side.pause()
        if contexts is None or found is None:
            self._unreachable(side, meant, "no leaf certificate yet" if contexts is None else "it has gone")
            return
        cluster, host = found
        if not cluster.breaker.try_connection():
            self._tallies.refused += 1
            side.abort()
            return
        host.active += 1
        self.live[side] = cluster, host
        connections = self._seen(where.service)

        def joined(_: Host) -> None:
            side.noted = connections.joined("", host.key, host.target)

        def failed(reason: str) -> None:
            connections.failed("", reason)
            self._unreachable(side, meant, reason)

        Dial(self._dialler, side, contexts, _Only(cluster, host), 0, joined, failed).next()

    def _to_outside(self, side: Side, meant: Place) -> None:
        self.live[side] = None
        side.pause()
        self._tasks.start(self._dial(side, meant), name="connection outside")

    async def _dial(self, side: Side, meant: Place) -> None:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in meant[0] else socket.AF_INET
        handle = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        far = Side(None)
        # Our end is known before anything else happens in this thread: should it come in here, it is recognised.
        handle.connect_ex(meant)
        end: Place = handle.getsockname()[:2]
        self._dialled.add(end)
        far.on_closed = lambda *_: self._dialled.discard(end)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await loop.sock_connect(handle, meant)
            await loop.create_connection(lambda: far, sock=handle)
        except (OSError, TimeoutError) as error:
            self._outside_seen().failed("", str(error) or "timed out")
            self._unreachable(side, meant, str(error) or "timed out")
            return
        finally:
            if far.transport is None:
                handle.close()
                self._dialled.discard(end)
        if side.closed or far.closed:
            far.abort()
            side.abort()
            return
        side.noted = self._outside_seen().joined("", _text(meant), OUTSIDE)
        join(side, far)

    def _outside_seen(self) -> Connections:
        if self._outside is None:
            self._outside = self._seen(OUTSIDE)
        return self._outside

    def _unreachable(self, side: Side, meant: Place, reason: str) -> None:
        self._tallies.unreachable += 1
        log.warning("destination cannot be reached: address=%s error=%s", _text(meant), reason or "no answer")
        side.abort()

    def _closed(self, side: Side, why: str) -> None:
        held = self.live.pop(side, None)
        if held is not None:
            cluster, host = held
            cluster.breaker.end_connection()
            host.active -= 1
        noted = side.noted
        if noted is not None:
            other = side.other
            self._outside_seen().ended(noted, side.read_bytes, other.read_bytes if other is not None else 0, why)


class _Arrival(asyncio.BaseProtocol):
    """A connection of which it is not yet known where it was meant for."""

    def __init__(self, arrived: Callable[[asyncio.Transport], None]) -> None:
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._arrived(cast("asyncio.Transport", transport))  # uvloop's is no subclass


class _Only:
    """A cluster of which one host alone does."""

    def __init__(self, cluster: Cluster, host: Host) -> None:
        self._cluster = cluster
        self._host = host

    def pick(self, hash_key: int | None = None, exclude: Collection[Host] = ()) -> Host | None:
        """The host, once."""
        return None if self._host in exclude else self._host

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        """How a try ended."""
        self._cluster.result(host, outcome, latency_s)


def _hand_over(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    transport.set_protocol(protocol)
    protocol.connection_made(transport)


def _place(transport: asyncio.BaseTransport, which: str) -> Place:
    name: Any = transport.get_extra_info(which)
    return (name[0], name[1]) if isinstance(name, tuple) else ("", 0)


def _text(place: Place | None) -> str:
    if place is None:
        return "(unknown)"
    return f"[{place[0]}]:{place[1]}" if ":" in place[0] else f"{place[0]}:{place[1]}"
