"""I/O edge: connections of HTTP to an instance: opened when its pool asks, told to it when the peer has proven itself.

The protocol follows from the upstream's: `http2` and `grpc` speak HTTP/2, agreed on by ALPN or, with a peer that does
not negotiate, simply spoken.

Source: RFC 7301 (ALPN); `../dial.py` does the same for layer 4 and shares the sessions. What may change here: what is
offered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshagent.clock import Tasks
from meshagent.connect.proxy.cluster.cluster import Cluster
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.dial import Dialler
from meshagent.connect.proxy.http.codecs import client_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.pool import HostPool
from meshagent.connect.proxy.http.streams import ClientCodec, Reset
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.origins import Origin
from meshagent.connect.snapshot import Outbound, ProxySnapshot
from meshagent.durations import parse_duration

__all__ = ["HTTP2", "STREAMS", "Opener", "Opening", "alpn_of", "speaks"]

#: Protocols of services that are HTTP/2.
HTTP2 = frozenset({"http2", "grpc"})
#: What is expected of a new connection of HTTP/2 before its SETTINGS have come.
STREAMS = 100


def alpn_of(protocol: str) -> tuple[str, ...]:
    """What a client offers."""
    return ("h2",) if protocol in HTTP2 else ("http/1.1",)


def speaks(protocol: str, alpn: str = "") -> str:
    """`h2` or `http/1.1`: what was agreed on, else what the service's protocol means."""
    return alpn or ("h2" if protocol in HTTP2 else "http/1.1")


class Opening:
    """One connection on its way. It ends with `connected` or `failed` of the pool, once."""

    __slots__ = (
        "_check",
        "_codec",
        "_connection",
        "_done",
        "_pool",
        "_protocol",
        "_task",
        "_timer",
        "_turn",
        "on_lost",
        "tls",
    )

    def __init__(
        self,
        turn: Turn,
        pool: HostPool,
        protocol: str,
        tls: Tls | None,
        timeout_s: float,
        check: Callable[[Tls], str] = lambda tls: "",
    ) -> None:
        """`check` says why the peer is not who was wanted, "" when he is."""
        self._turn = turn
        self._pool = pool
        self._protocol = protocol
        self.tls = tls
        self._check = check
        self._done = False
        #: Called when a connection that was there has ended.
        self.on_lost: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None
        self._connection = HttpConnection(turn, tls, self._ready, self._lost)
        self._timer = turn.timers.after(timeout_s, self._too_slow)

    def start(self, tasks: Tasks, address: str, port: int, socket_path: str = "") -> None:
        """Connect."""
        self._task = tasks.start(self._connect(address, port, socket_path), name="http connection")

    async def _connect(self, address: str, port: int, socket_path: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            if socket_path:
                await loop.create_unix_connection(lambda: self._connection, socket_path)
            else:
                await loop.create_connection(lambda: self._connection, address, port)
        except OSError as error:
            self._failed(Reset.CONNECT_FAILURE, error.strerror or str(error))

    def _ready(self, connection: HttpConnection) -> ClientCodec | None:
        if self._done:
            return None
        tls = self.tls
        wrong = self._check(tls) if tls is not None else ""
        if wrong:
            self._failed(Reset.CONNECT_FAILURE, wrong)
            return None
        codec = client_codec(speaks(self._protocol, tls.alpn if tls is not None else ""), connection, self._turn.timers)
        self._done = True
        self._timer.cancel()
        connection.codec = codec
        self._pool.connected(codec)
        return codec

    def _lost(self, connection: HttpConnection) -> None:
        if self._done:
            if connection.codec is not None:
                self.on_lost()
            return
        self._failed(
            Reset.CONNECT_FAILURE, connection.failure or "the peer closed the connection during the TLS handshake"
        )

    def _too_slow(self) -> None:
        self._failed(Reset.CONNECT_TIMEOUT, "timed out")

    def _failed(self, why: Reset, detail: str) -> None:
        if self._done:
            return
        self._done = True
        self._timer.cancel()
        if self._task is not None and not self._task.done() and self._connection.transport is None:
            self._task.cancel()
        self._connection.abort()
        self._pool.failed(why, detail)


class Opener:
    """Opens connections to an instance of an upstream: mutual TLS, and the peer has to be the instance's service."""

    def __init__(
        self,
        turn: Turn,
        dialler: Dialler,
        outbound: Outbound,
        host: Host,
        state: Callable[[], tuple[ProxySnapshot, Contexts | None]],
        origin: Callable[[], Origin | None] = lambda: None,
    ) -> None:
        """`origin`: how instances outside the mesh are reached by a gateway."""
        self._origin = origin
        self._turn = turn
        self._dialler = dialler
        self._timeout_ms = outbound.connect_timeout_ms
        self._protocol = outbound.chain.protocol if outbound.chain is not None else ""
        self._host = host
        self._state = state

    def pool(self, cluster: Cluster) -> HostPool:
        """The pool of the instance, within the limits of its cluster."""
        pool = HostPool(self._open, self._turn.timers, cluster.breaker)
        if self._protocol in HTTP2:
            pool.streams_per_connection = STREAMS
        return pool

    def _open(self, pool: HostPool) -> None:
        _, contexts = self._state()
        if contexts is None:
            self._turn.timers.after(0.0, lambda: pool.failed(Reset.CONNECT_FAILURE, "no leaf certificate yet"))
            return
        host, dialler = self._host, self._dialler
        row = host.cluster
        timeout_s = self._timeout_ms / 1e3 or parse_duration(row.target.connect_timeout) / 1e9
        origin = self._origin()
        if origin is not None:
            outside = origin.tls(host, alpn_of(self._protocol))
            Opening(self._turn, pool, self._protocol, outside, timeout_s, origin.wrong).start(
                dialler.tasks, host.address, host.port
            )
            return
        tls = Tls(
            contexts.client_of(row.target.peer),
            server_side=False,
            server_name=row.target.sni or None,
            session=dialler.session(contexts, host),
            alpn=alpn_of(self._protocol),
        )
        opening = Opening(self._turn, pool, self._protocol, tls, timeout_s, self._check)
        opening.on_lost = lambda: dialler.keep(contexts, host, tls)
        opening.start(dialler.tasks, host.address, host.port)

    def _check(self, tls: Tls) -> str:
        dialler, wanted = self._dialler, self._host.cluster.identities
        if tls.identity not in wanted:
            dialler.tallies.failed_handshakes += 1
            return f"peer certificate mismatch: got {tls.identity or 'none'}, want {wanted}"
        if tls.valid_until <= dialler.clock.now().timestamp():
            return "the peer's certificate has ended"
        dialler.tallies.dialled += 1
        dialler.tallies.resumed += tls.resumed
        return ""
