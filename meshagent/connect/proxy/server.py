"""I/O edge: one sidecar: listeners that follow its snapshot.

`apply` takes a newer snapshot: listeners come and go, certificates are taken up by the next handshake, live connections
are checked against the intentions of now. Without a newer one the last good one stays in force.

Source: "Events" of builtin-proxy.md of the golden mesh data; issue of surface row M70. What may change here: several
sidecars of a host in one process are several of these.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from meshagent.catalog.entries.graph import is_http
from meshagent.clock import Clock, Tasks
from meshagent.connect.exposing import Exposed
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts, ContextsKey
from meshagent.connect.proxy.dial import Dialler
from meshagent.connect.proxy.ending_idle import EndingIdle
from meshagent.connect.proxy.health_prober import HealthProber
from meshagent.connect.proxy.inbound import InboundListener
from meshagent.connect.proxy.limits.limiter import RateLimiter
from meshagent.connect.proxy.origins import Origin
from meshagent.connect.proxy.outbound import OutboundListener
from meshagent.connect.proxy.reprober import Reprober
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.proxy.telemetry.sidecar import SidecarTelemetry
from meshagent.connect.snapshot import Gateway, Inbound, Outbound, ProxySnapshot
from meshagent.connect.transparent import Transparent
from meshagent.errors import Unavailable

if TYPE_CHECKING:  # imported where they are made: a sidecar of TCP alone does without the 3 MB of HTTP
    from meshagent.connect.proxy.detecting import DetectingListener
    from meshagent.connect.proxy.edge import Listens
    from meshagent.connect.proxy.gateway import GatewayProxy
    from meshagent.connect.proxy.http.connection import Turn
    from meshagent.connect.proxy.http.exposed import ExposedListener
    from meshagent.connect.proxy.http.inbound import HttpInboundListener
    from meshagent.connect.proxy.http.manager import Manager
    from meshagent.connect.proxy.http.outbound import HttpOutboundListener
    from meshagent.connect.proxy.http.pool import HostPool
    from meshagent.connect.proxy.transparent import TransparentListener

    OutboundListeners: TypeAlias = OutboundListener | HttpOutboundListener | DetectingListener

__all__ = ["Sidecar"]

log = logging.getLogger("proxy")

#: How often a draining sidecar looks whether it is empty.
_DRAIN_STEP_S = 0.02
_BIND_TRIES = 25


class Sidecar:
    """The listeners and connections of one proxy."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._tasks = Tasks()
        self._rng = rng
        self.clusters = Clusters(clock.monotonic, rng, self._host_event, self._pool)
        self._prober = HealthProber(self.clusters, lambda: self._contexts, lambda: self.turn, clock, rng, self._tasks)
        self._reprober = Reprober(self.clusters, self._prober.takes, clock, rng, self._tasks)
        self.tallies = Tallies()
        self.telemetry = SidecarTelemetry(clock, rng, self._tasks, self.clusters, self.tallies, lambda: self.ready)
        self.limiter = RateLimiter()
        self.snapshot: ProxySnapshot | None = None
        self._contexts: Contexts | None = None
        self._contexts_key: ContextsKey | None = None
        self.inbound: InboundListener | HttpInboundListener | None = None
        self.outbound: dict[str, OutboundListeners] = {}
        self.exposed: dict[Exposed, ExposedListener] = {}
        self.transparent: TransparentListener | None = None
        #: Listeners that were replaced, while they have connections.
        self._leaving: list[Listens] = []
        #: What connections of HTTP share; made with the first snapshot, when there is a loop.
        self._turn: Turn | None = None
        self._dialler = Dialler(clock, self._tasks, self.tallies)
        self._applying = asyncio.Lock()
        self._ending_idle = EndingIdle(clock, self._tasks, self._listeners)
        #: What opens the listeners of a gateway.
        self.gateway: GatewayProxy | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        own = self.gateway.open_connections if self.gateway is not None else 0
        return own + sum(listener.open_connections for listener in self._listeners())

    @property
    def ready(self) -> bool:
        """Whether it has a leaf and all its listeners."""
        snapshot = self.snapshot
        return (
            snapshot is not None
            and self._contexts is not None
            and (snapshot.inbound is None or self.inbound is not None)
            and (snapshot.transparent is None or self.transparent is not None)
            and all(one.key in self.outbound for one in snapshot.outbound if _wanted(one))
            and all(one in self.exposed for one in snapshot.exposed)
            and (snapshot.gateway is None or (self.gateway is not None and self.gateway.ready))
        )

    async def apply(self, snapshot: ProxySnapshot) -> None:
        """Work from this snapshot from now on."""
        async with self._applying:
            before = self.snapshot is not None and self.snapshot.mesh.permissive
            self.snapshot = snapshot
            if snapshot.mesh.permissive != before:
                word = "permissive: connections without TLS reach the application" if not before else "strict"
                log.warning("mutual TLS is %s", word)
            self._renew(snapshot)
            for host in self.clusters.update(snapshot):
                if host.pool is not None:
                    host.pool.close()
            self._prober.follow()
            self.limiter.told(snapshot.rate_limits, self._clock.monotonic())
            self._recheck()
            await self._follow_inbound(snapshot.inbound)
            await self._follow_exposed(snapshot.exposed)
            await self._follow_outbound(snapshot.outbound)
            await self._follow_transparent(snapshot.transparent)
            await self._follow_gateway(snapshot.gateway)
            self._forget_empty()
            self._ending_idle.follow(snapshot)
            await self.telemetry.apply(snapshot)

    async def withdraw(self) -> None:
        """The proxy is registered no more: take no new connections, let the open ones end."""
        async with self._applying:
            await self._follow_gateway(None)
            await self._follow_inbound(None)
            await self._follow_exposed(())
            await self._follow_transparent(None)
            await self._follow_outbound(())

    async def stop(self, drain_s: float) -> None:
        """Take no new connections, wait up to `drain_s` seconds for the open ones to end, then cut them."""
        await self.withdraw()
        end = self._clock.monotonic() + drain_s
        while self.connections and self._clock.monotonic() < end:
            await self._clock.sleep(_DRAIN_STEP_S)
        for listener in self._leaving:
            listener.abort_all()
        await self.telemetry.close()
        await self._tasks.cancel()
        log.info("stopped: %s", self.tallies.text())

    # --- inside ------------------------------------------------------------------------------------------------

    def _listeners(self) -> list[Listens]:
        one_each = (one for one in (self.inbound, self.transparent) if one is not None)
        return [*self.outbound.values(), *self.exposed.values(), *one_each, *self._leaving]

    def _recheck(self) -> None:
        """Cut what intentions no longer allow, before anything is waited for."""
        cut = 0
        for listener in (self.inbound, self.gateway, *self._leaving):
            recheck = getattr(listener, "recheck", None)  # those where peers come in
            if recheck is not None:
                cut += recheck()
        if cut:
            log.info("intentions changed: connections cut=%d", cut)

    def _forget_empty(self) -> None:
        """Let go of replaced listeners without connections; their counts stay."""
        gone = [listener for listener in self._leaving if not listener.open_connections]
        self._leaving = [listener for listener in self._leaving if listener not in gone]
        for listener in gone:
            manager = getattr(listener, "manager", None)  # those of layer 7
            if manager is not None:
                self.telemetry.retire(manager)

    def _renew(self, snapshot: ProxySnapshot) -> None:
        key = Contexts.key(snapshot)
        if key != self._contexts_key or self._contexts is None:
            try:
                self._contexts = Contexts(snapshot)
                self._contexts_key = key
                log.info("leaf certificate in use: service=%s", snapshot.service)
                for _, cluster in self.clusters.all():
                    for host in cluster.hosts:
                        if host.pool is not None:
                            host.pool.renew()
            except Unavailable as error:
                log.warning("%s", error)
        if self.inbound is not None:
            self.inbound.contexts = self._contexts

    async def _follow_inbound(self, wanted: Inbound | None) -> None:
        held = self.inbound
        if wanted is not None and self._contexts is None:
            wanted = None  # nobody comes in before there is a leaf
        if held is not None and wanted is not None and _place(held.inbound) == _place(wanted):
            held.inbound = wanted
            return
        if held is not None:
            held.stop_accepting()
            self._leaving.append(held)
            self.inbound = None
        if wanted is not None:
            listener: InboundListener | HttpInboundListener
            if is_http(wanted.protocol):
                from meshagent.connect.proxy.http.inbound import HttpInboundListener
                from meshagent.connect.proxy.limits.filter import rate_filter

                listener = HttpInboundListener(
                    wanted, self._clock, self._tasks, self.tallies, self._now, self._seen("inbound", ""), self.turn,
                    self._rng,
                )  # fmt: skip
                self._observe(listener.manager, "inbound", "")
                listener.manager.filters += (rate_filter(self.limiter, self._clock.monotonic),)
                listener.may_connect = lambda: self.limiter.may_connect(self._clock.monotonic())
            else:
                listener = InboundListener(
                    wanted, self._clock, self._tasks, self.tallies, self._now, self._seen("inbound", ""), self.limiter
                )
            listener.contexts = self._contexts
            try:
                await self._start(listener)
            except OSError as error:
                log.error("cannot listen: address=%s:%d error=%s", wanted.address, wanted.port, error.strerror)
                return
            self.inbound = listener

    async def _follow_exposed(self, wanted: tuple[Exposed, ...]) -> None:
        for one in [one for one in self.exposed if one not in wanted]:
            listener = self.exposed.pop(one)
            listener.stop_accepting()
            self._leaving.append(listener)
        for one in wanted:
            if one in self.exposed:
                continue
            from meshagent.connect.proxy.http.exposed import ExposedListener

            made = ExposedListener(one, self._now, self._tasks, self.tallies, self.turn, self._rng)
            self._observe(made.manager, "inbound", "")
            try:
                await self._start(made)
            except OSError as error:
                log.error("cannot listen: address=%s:%d path=%s error=%s", one.address, one.port, one.path, error)
                self.telemetry.managers.remove(made.manager)
                continue
            self.exposed[one] = made

    async def _follow_outbound(self, wanted: tuple[Outbound, ...]) -> None:
        by_key = {one.key: one for one in wanted if _wanted(one)}
        for key in [key for key, held in self.outbound.items() if not _serves(held, by_key.get(key))]:
            listener = self.outbound.pop(key)
            listener.stop_accepting()
            self._leaving.append(listener)
            log.info("listener closed: address=%s", key)
        for key, one in by_key.items():
            held = self.outbound.get(key)
            if held is not None:
                held.outbound = one
                continue
            made = self._outbound(one)
            try:
                await self._start(made)
            except OSError as error:
                log.error("cannot listen: address=%s upstream=%s error=%s", key, one.name, error.strerror)
                continue
            self.outbound[key] = made

    def _outbound(self, one: Outbound) -> OutboundListeners:
        if not one.is_http:
            tcp = OutboundListener(
                one, self._clock, self._tasks, self.tallies, self.clusters, self._state,
                self._seen("outbound", one.name),
            )  # fmt: skip
            if not one.is_detected:
                tcp.origin = lambda: self._origin(one.key)
                return tcp
        from meshagent.connect.proxy.detecting import DetectingListener
        from meshagent.connect.proxy.http.outbound import HttpOutboundListener

        http = HttpOutboundListener(one, self.clusters, self.turn, self._rng, self._now, self.tallies)
        self._observe(http.manager, "outbound", one.name)
        return http if one.is_http else DetectingListener(http, tcp)

    async def _follow_gateway(self, wanted: Gateway | None) -> None:
        if wanted is None and self.gateway is None:
            return
        if self.gateway is None and wanted is not None:
            from meshagent.connect.proxy.edge import Surroundings
            from meshagent.connect.proxy.gateway import gateway_of

            around = Surroundings(
                self._clock, self._tasks, self._rng, self.tallies, self._now, lambda: self.turn, self.outbound.get,
                self._start, lambda gone: self._leaving.append(gone), self._observe, self._seen, self.limiter,
            )  # fmt: skip
            self.gateway = gateway_of(wanted, around)
        if self.gateway is not None:
            await self.gateway.follow(wanted)

    def _origin(self, key: str) -> Origin | None:
        return self.gateway.origin_of(key) if self.gateway is not None else None

    async def _follow_transparent(self, wanted: Transparent | None) -> None:
        held = self.transparent
        if held is not None and wanted is not None and held.port == wanted.port:
            return
        if held is not None:
            held.stop_accepting()
            self._leaving.append(held)
            self.transparent = None
        if wanted is not None:
            from meshagent.connect.proxy.transparent import TransparentListener

            made = TransparentListener(
                wanted.port, self._clock, self._tasks, self.tallies, self.clusters, self._state, self._accept_of,
                lambda name: self._seen("outbound", name),
            )  # fmt: skip
            try:
                await self._start(made)
            except OSError as error:
                log.error("cannot listen: address=127.0.0.1:%d error=%s", wanted.port, error.strerror)
                return
            self.transparent = made

    def _accept_of(self, key: str) -> Callable[[], asyncio.BaseProtocol] | None:
        listener = self.outbound.get(key)
        return listener.accept if listener is not None else None

    def _host_event(self, what: str, host: Host, reason: str) -> None:
        level = logging.INFO if host.usable else logging.WARNING
        told = (what, host.target, host.endpoint.id, host.key, reason)
        log.log(level, "instance %s: target=%s id=%s address=%s reason=%s", *told)
        if what == "ejected":
            self._reprober.look()

    def _seen(self, direction: str, upstream: str) -> Connections:
        service = self._now().service
        return Connections(self.telemetry.observer, direction, service, upstream or service)

    def _observe(self, manager: Manager, direction: str, upstream: str) -> None:
        service = self._now().service
        manager.telemetry = self.telemetry.observer.listener(direction, service, upstream or service)
        self.telemetry.managers.append(manager)

    @property
    def turn(self) -> Turn:
        """What connections of HTTP share."""
        if self._turn is None:
            from meshagent.connect.proxy.http.connection import Turn

            self._turn = Turn(asyncio.get_running_loop())
        return self._turn

    def _pool(self, host: Host, cluster: Cluster, outbound: Outbound) -> HostPool:
        from meshagent.connect.proxy.http.opening import Opener

        opener = Opener(self.turn, self._dialler, outbound, host, self._state, lambda: self._origin(outbound.key))
        return opener.pool(cluster)

    def _state(self) -> tuple[ProxySnapshot, Contexts | None]:
        return self._now(), self._contexts

    async def _start(self, listener: Listens) -> None:
        """Listen, also where a listener that is replaced has just left. Raises OSError."""
        for _ in range(_BIND_TRIES):
            try:
                await listener.start()
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not self._leaving:
                    raise
            await self._clock.sleep(_DRAIN_STEP_S)
        await listener.start()

    def _now(self) -> ProxySnapshot:
        if self.snapshot is None:
            raise Unavailable("the proxy has no configuration yet")
        return self.snapshot


def _place(inbound: Inbound) -> tuple[str, int, bool]:
    return inbound.address, inbound.port, is_http(inbound.protocol)


def _wanted(one: Outbound) -> bool:
    """Whether there is to be a listener for it, of its own or behind another one."""
    return one.listens or bool(one.virtual_ips or one.outside or one.at)


def _serves(held: OutboundListeners, wanted: Outbound | None) -> bool:
    return wanted is not None and held.kind == wanted.kind
