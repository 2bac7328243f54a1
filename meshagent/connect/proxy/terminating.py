"""I/O edge: a terminating gateway: callers prove themselves to the service that they name, and are led outside.

Each server name has an inbound side of its own, as a sidecar of that service would have: its leaf, its intentions, its
protocol. Behind it stands an upstream, whose instances are reached as the entry says: plain, or with TLS by the files
of this host, which are read again when they change.

Source: surface rows M28, X17; developer.hashicorp.com/consul/docs/connect/gateways/terminating-gateway. What may change
here: how services outside are reached.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from meshagent.catalog.entries.graph import is_http
from meshagent.connect.gateways.linked import LinkedService, TerminatingGateway
from meshagent.connect.proxy.contexts import Contexts, ContextsKey
from meshagent.connect.proxy.edge import Surroundings
from meshagent.connect.proxy.inbound import InboundListener
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.mesh_gateway import Places
from meshagent.connect.proxy.origins import PLAIN, Origin, Outside
from meshagent.connect.proxy.outbound import OutboundListener
from meshagent.connect.proxy.peek import Taker
from meshagent.connect.proxy.pump import Side
from meshagent.connect.snapshot import Inbound, ProxySnapshot
from meshagent.errors import Unavailable

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.inbound import HttpInboundListener

__all__ = ["TerminatingProxy"]

log = logging.getLogger("proxy.gateway")

#: How often the files of TLS to the outside are looked at.
_LOOK_S = 5.0
#: A bundle of all public authorities has some 200 KB.
_MAX_BYTES = 1024 * 1024

_Files: TypeAlias = tuple[str, str, str, str]


class TerminatingProxy:
    """All of one gateway."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._places = Places(around)
        self._wanted = TerminatingGateway(())
        #: By server name.
        self._linked: dict[str, _Linked] = {}
        #: By the key of an upstream; by what they are made of.
        self._origins: dict[str, Origin] = {}
        self._outside: dict[_Files, tuple[tuple[float, ...], Outside | _Nobody]] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether all listeners are open, and every service can be spoken for."""
        return self._places.ready and all(one.leaf_chain for one in self._wanted.services)

    @property
    def open_connections(self) -> int:
        """Those that have not said whom they call, and callers."""
        return self._places.open_connections + sum(one.listener.open_connections for one in self._linked.values())

    def recheck(self) -> int:
        """Cut what intentions no longer allow; how many."""
        snapshot = self._around.state()
        if isinstance(snapshot.gateway, TerminatingGateway):
            self._take_up(snapshot.gateway)
        return sum(one.listener.recheck() for one in self._linked.values())

    def end_idle(self, now: float) -> None:
        """End the connections over which nothing has passed for too long."""
        for one in self._linked.values():
            one.listener.end_idle(now)

    def origin_of(self, key: str) -> Origin | None:
        """How the instances of an upstream are reached."""
        return self._origins.get(key, _NOBODY)

    async def follow(self, wanted: TerminatingGateway | None) -> None:
        """Speak for these services from now on."""
        wanted = wanted if wanted is not None else TerminatingGateway(())
        self._take_up(wanted)
        await self._places.follow(wanted.binds, self._taker)

    # --- inside ------------------------------------------------------------------------------------------------

    def _taker(self, name: str) -> Taker | None:
        found = self._linked.get(name)
        return found.listener.take() if found is not None and found.listener.contexts is not None else None

    def _take_up(self, wanted: TerminatingGateway) -> None:
        self._wanted = wanted
        self._read(wanted)
        names: dict[str, tuple[LinkedService, str]] = {}
        for service in wanted.services:
            if service.leaf_chain:
                names |= {name: (service, key) for name, key in service.upstreams.items()}
        for name in [name for name, held in self._linked.items() if not held.serves(names.get(name))]:
            held = self._linked.pop(name)
            held.listener.stop_accepting()
            self._around.leave(held.listener)
        for name, (service, key) in names.items():
            if name not in self._linked:
                self._linked[name] = _Linked(self._around, service, key)
            self._linked[name].follow(service)

    def _read(self, wanted: TerminatingGateway) -> None:
        """Origins from the files of the entry, which somebody else renews."""
        origins: dict[str, Origin] = {}
        held, self._outside = self._outside, {}
        for service in wanted.services:
            origin: Origin = PLAIN
            if service.ca_file:
                files = (service.ca_file, service.cert_file, service.key_file, service.sni)
                stamp = _stamp(files[:3])
                before = held.get(files)
                made = before[1] if before is not None and before[0] == stamp else _outside(service)
                self._outside[files] = (stamp, made)
                origin = made
            origins |= dict.fromkeys(service.upstreams.values(), origin)
        self._origins = origins
        if self._outside and self._looking is None:
            self._looking = self._around.tasks.start(self._look(), name="certificates of services outside")
        elif not self._outside and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while True:
            await self._around.clock.sleep(_LOOK_S)
            self._read(self._wanted)


class _Linked:
    """One server name: an inbound side, as a sidecar of the service would have it."""

    def __init__(self, around: Surroundings, service: LinkedService, key: str) -> None:
        self._around = around
        self._service = service
        self._key = key
        self._contexts_key: ContextsKey | None = None
        self.listener: _TcpLinked | HttpInboundListener
        self._snapshot = _speaking_for(around.state(), service)
        clock, tasks, tallies = around.clock, around.tasks, around.tallies
        seen = around.seen("inbound", service.service)
        inbound = self._snapshot.inbound
        if inbound is None:
            raise TypeError(service.service)
        if is_http(service.protocol):
            from meshagent.connect.proxy.http.inbound import HttpInboundListener
            from meshagent.connect.proxy.http.rewriting import RewriteHost

            http = self.listener = HttpInboundListener(
                inbound, clock, tasks, tallies, lambda: self._snapshot, seen, around.turn(), around.rng
            )
            http.manager.filters += (RewriteHost(self._host),)
            around.observe(http.manager, "inbound", service.service)
        else:
            self.listener = _TcpLinked(inbound, clock, tasks, tallies, lambda: self._snapshot, seen, around.limiter)
            self.listener.upstream = self._upstream

    def serves(self, wanted: tuple[LinkedService, str] | None) -> bool:
        """Whether it may go on as what is wanted now."""
        return (
            wanted is not None
            and wanted[1] == self._key
            and is_http(wanted[0].protocol) == is_http(self._service.protocol)
        )

    def follow(self, service: LinkedService) -> None:
        """Leaf, intentions and routes of now."""
        self._service = service
        snapshot = self._snapshot = _speaking_for(self._around.state(), service)
        if snapshot.inbound is not None:
            self.listener.inbound = snapshot.inbound
        key = Contexts.key(snapshot)
        if key != self._contexts_key:
            try:
                self.listener.contexts = Contexts(snapshot)
                self._contexts_key = key
            except Unavailable as error:
                log.warning("%s: %s", service.service, error)
        if is_http(service.protocol):
            from meshagent.connect.proxy.http.inbound import HttpInboundListener
            from meshagent.connect.proxy.http.outbound import HttpOutboundListener

            upstream = self._around.upstream(self._key)
            if isinstance(self.listener, HttpInboundListener) and isinstance(upstream, HttpOutboundListener):
                self.listener.manager.routes = upstream.manager.routes

    def _upstream(self) -> OutboundListener | None:
        found = self._around.upstream(self._key)
        return found if isinstance(found, OutboundListener) else None

    def _host(self) -> bytes:
        """The host name of the instances, b"" where they have addresses, or the caller's is to stay."""
        outbound = next((one for one in self._around.state().outbound if one.key == self._key), None)
        if not self._service.rewrite_host or outbound is None or outbound.chain is None:
            return b""
        clusters = self._around.state().clusters
        hosts = (one.address for target in outbound.chain.targets for one in clusters[target].endpoints)
        return next((host.encode("ascii", "replace") for host in hosts if not _is_ip(host)), b"")


class _TcpLinked(InboundListener):
    """Callers at layer 4: who may come in is led to the upstream."""

    upstream: Callable[[], OutboundListener | None]

    async def _dial(self, side: Side) -> None:
        upstream = self.upstream()
        if side.closed:
            return
        if upstream is None:
            side.abort()
            return
        ours, noted = side.on_closed, side.noted
        side.noted = None
        upstream.take(side)
        theirs = side.on_closed

        def closed(side: Side, why: str) -> None:
            if theirs is not None:
                theirs(side, why)
            side.noted = noted
            if ours is not None:
                ours(side, why)

        side.on_closed = closed


class _Nobody:
    """For services whose files cannot be used: nobody is who is wanted."""

    def tls(self, host: object, alpn: tuple[str, ...] = ()) -> None:
        return None

    def wrong(self, tls: object) -> str:
        return "the files for TLS to the service cannot be used"


_NOBODY = _Nobody()


def _outside(service: LinkedService) -> Outside | _Nobody:
    try:
        texts = [_read(file) if file else "" for file in _files(service)]
        context = TlsContext(server_side=False, chain=texts[1], key=texts[2], roots=(texts[0],), outside=True)
    except (OSError, UnicodeDecodeError, Unavailable) as error:
        log.error("TLS to a service outside is not possible: service=%s error=%s", service.service, error)
        return _NOBODY
    return Outside(context, service.sni)


def _read(path: str) -> str:
    """A file that an entry names, `_MAX_BYTES` of it at most: whatever it is, the gateway goes on."""
    with Path(path).open("rb") as file:
        return file.read(_MAX_BYTES).decode("ascii")


def _files(service: LinkedService) -> tuple[str, str, str]:
    return service.ca_file, service.cert_file, service.key_file


def _stamp(files: tuple[str, ...]) -> tuple[float, ...]:
    """When the files changed last."""
    found = []
    for file in files:
        try:
            found.append(Path(file).stat().st_mtime if file else 0.0)
        except OSError:
            found.append(-1.0)
    return tuple(found)


def _speaking_for(snapshot: ProxySnapshot, service: LinkedService) -> ProxySnapshot:
    """The snapshot as a sidecar of the service would have it."""
    inbound = Inbound("", 0, "", 0, protocol=service.protocol, request_timeout_ms=0)
    return msgspec.structs.replace(
        snapshot,
        service=service.service,
        intentions=service.intentions,
        leaf_chain=service.leaf_chain,
        leaf_key=service.leaf_key,
        leaf_valid=service.leaf_valid,
        inbound=inbound,
        outbound=(),
        clusters={},
        gateway=None,
    )


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
