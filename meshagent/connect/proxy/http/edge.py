"""I/O edge: a listener of an ingress or API gateway for requests: each goes to the upstream of its host.

What a client says of certificates, of where it comes from and of the scheme it used is not believed: the gateway says
it, for it is the first that knows.

Source: surface rows M27, M31, M32; Envoy's `use_remote_address`; RFC 9110 section 7.1 (a host that is not served: 404,
as Envoy). What may change here: further marks of an edge.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random

from meshagent.connect.gateways.edge import EdgeListener
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.edge import HANDSHAKE_S, Surroundings
from meshagent.connect.proxy.edge_contexts import EdgeContexts
from meshagent.connect.proxy.http.codecs import server_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.demanding import demand
from meshagent.connect.proxy.http.hooks import LocalReply
from meshagent.connect.proxy.http.hosts import Hosts, host_routes
from meshagent.connect.proxy.http.inbound import drain, sniffing
from meshagent.connect.proxy.http.key_sets import KeySets
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.marks import from_the_application
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.normalizing import Normalizer
from meshagent.connect.proxy.http.outbound import HttpOutboundListener
from meshagent.connect.proxy.http.policy import Route
from meshagent.connect.proxy.http.routes import Routes
from meshagent.connect.proxy.http.streams import ConnectionCodec, DownstreamStream, Peer
from meshagent.connect.proxy.http.tokens import Tokens
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.peek import Refuse
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["HttpEdge", "come_from_outside"]

log = logging.getLogger("proxy.edge")

_READY = LocalReply(200, b"LIVE\n")
_OURS = frozenset({b"x-forwarded-client-cert", b"x-forwarded-proto"})
_FOR = b"x-forwarded-for"


class HttpEdge:
    """Accepts requests for the hosts of one listener."""

    def __init__(
        self,
        listener: EdgeListener,
        address: str,
        contexts: EdgeContexts,
        around: Surroundings,
    ) -> None:
        self._address = address
        self._contexts = contexts
        self._clock = around.clock
        self._tallies = around.tallies
        self._turn = turn = around.turn()
        self._state = around.state
        self._upstream = around.upstream
        self._door = Door()
        self.live: dict[HttpConnection, str] = {}
        #: Answers what no host is for.
        self.manager = _Dispatching(turn, around.rng)
        #: Routes and tokens go by paths: what a path means is decided first.
        self._filters = (Normalizer(lambda: around.state().mesh.normalization), from_the_application)
        self._key_sets = KeySets(around.clock, around.tasks)
        self._tokens: tuple[ProxySnapshot, Tokens] | None = None
        self._listener = listener
        self.listener = listener
        if listener.ready:
            self.manager.routes = Routes([(lambda path, _: path == b"/ready", Route("ready", direct=lambda _: _READY))])

    @property
    def listener(self) -> EdgeListener:
        """What it works from."""
        return self._listener

    @listener.setter
    def listener(self, listener: EdgeListener) -> None:
        self._listener = listener
        self.manager.scheme = b"https" if listener.tls is not None else b"http"
        snapshot = self._state()
        self._key_sets.follow(snapshot.jwt_providers)
        rows = []
        for host in listener.hosts:
            upstream = self._upstream(host.upstream)
            if isinstance(upstream, HttpOutboundListener):
                upstream.finish = lambda routes, host=host: host_routes(  # type: ignore[misc]
                    routes, host.request, host.response, host.tokens, lambda wanted: demand(wanted, self._tokens_now)
                )
                upstream.manager.routes = upstream.finish(upstream.compiled)
                upstream.manager.filters = self._filters
                rows.append((host.domains, upstream.manager))
        self.manager.hosts = Hosts(rows)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.live)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._door.open(self._accept, self._address, self._listener.port)
        log.info(
            "listening: address=%s:%d protocol=%s tls=%s",
            self._address, self._listener.port, self._listener.protocol, self._listener.tls is not None,
        )  # fmt: skip

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open end with their requests."""
        if self._door.close():
            drain(self.live)

    def abort_all(self) -> None:
        """Cut what is open."""
        for connection in list(self.live):
            connection.abort()

    # --- inside ------------------------------------------------------------------------------------------------

    def _tokens_now(self) -> Tokens:
        snapshot = self._state()
        if self._tokens is None or self._tokens[0].jwt_providers != snapshot.jwt_providers:
            self._key_sets.follow(snapshot.jwt_providers)
            made = Tokens(snapshot.jwt_providers, self._key_sets.of, self._clock.now)
            self._tokens = snapshot, made
        return self._tokens[1]

    def _accept(self) -> asyncio.Protocol:
        context = self._contexts.context if self._listener.tls is not None else None
        if self._listener.tls is not None and context is None:
            self._tallies.refused += 1
            return Refuse()
        tls = Tls(context, server_side=True) if context is not None else None
        connection = HttpConnection(self._turn, tls, self._ready, self._lost)
        self.live[connection] = ""
        if tls is not None:
            connection.timer = self._turn.timers.after(HANDSHAKE_S, lambda: self._too_slow(connection))
        return connection

    def _too_slow(self, connection: HttpConnection) -> None:
        if connection.codec is None and connection in self.live:
            connection.fail("TLS handshake timed out")
            connection.abort()

    def _ready(self, connection: HttpConnection) -> ConnectionCodec:
        if connection.timer is not None:
            connection.timer.cancel()
        connection.peer = Peer(connection.address)
        tls = connection.tls
        if tls is not None and tls.alpn:
            return server_codec(tls.alpn, connection, self._turn.timers, self.manager)
        return sniffing(connection, self._turn, self.manager)

    def _lost(self, connection: HttpConnection) -> None:
        if connection.timer is not None:
            connection.timer.cancel()
        self.live.pop(connection, None)
        if connection.failure:
            self._tallies.failed_handshakes += 1
            log.debug("connection ended before it began: reason=%s", connection.failure)


class _Dispatching(Manager):
    """Requests go to the manager of their host; those of no host are answered here."""

    def __init__(self, turn: Turn, rng: random.Random) -> None:
        super().__init__("outbound", turn.timers, rng)
        self.hosts: Hosts[Manager] = Hosts(())
        self.scheme = b"http"

    def on_request(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        come_from_outside(head, self.scheme, stream.peer.address)
        found = self.hosts.find(head.authority)
        if found is None:
            super().on_request(stream, head, end)
        else:
            found.on_request(stream, head, end)


def come_from_outside(head: RequestHead, scheme: bytes, address: str) -> None:
    """Mark a request as one that a client at `address` ("ip:port") sent by this scheme."""
    ip = address.rpartition(":")[0].strip("[]")
    kept = [one for one in head.headers if one[0] not in _OURS]
    kept.append((b"x-forwarded-proto", scheme))
    if ip:
        before = [value for name, value in kept if name == _FOR]
        kept = [one for one in kept if one[0] != _FOR]
        kept.append((_FOR, b", ".join([*before, _plain(ip)])))
    head.headers = kept


def _plain(ip: str) -> bytes:
    try:
        found = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip.encode("ascii", "replace")
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found).encode()
