"""I/O edge: connections for pools: to an instance with proof of who it is, or to the application behind a sidecar.

Source: `outbound.py` of layer 4 (what is asked of an instance); RFC 7301. What may change here: further ways to reach
a host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.dial import Dialler
from meshagent.connect.proxy.http.codecs import ALPN, client_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.pool import HostPool
from meshagent.connect.proxy.http.streams import ClientCodec, Reset
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import Inbound
from meshagent.durations import parse_duration

__all__ = ["LocalConnector", "MeshConnector"]

log = logging.getLogger("proxy.upstream")


class _Connector:
    """What both ways share: a task for each new connection, and what the pool is told."""

    def __init__(self, turn: Turn, tasks: Tasks) -> None:
        self._turn = turn
        self._tasks = tasks

    def __call__(self, pool: HostPool) -> None:
        self._tasks.start(self._run(pool), name="upstream connection")

    async def _open(self, pool: HostPool) -> ClientCodec:
        raise NotImplementedError

    async def _run(self, pool: HostPool) -> None:
        why, detail = Reset.CONNECT_FAILURE, ""
        codec: ClientCodec | None = None
        try:
            codec = await self._open(pool)
        except TimeoutError:
            why, detail = Reset.CONNECT_TIMEOUT, "timed out"
        except OSError as error:
            detail = error.strerror or str(error)
        finally:
            turn = self._turn
            turn.inside = True
            if codec is not None:
                pool.connected(codec)
            else:
                pool.failed(why, detail or "cancelled")
                log.debug("no connection: host=%s error=%s", pool.host.key, detail)
            turn.flush()


class MeshConnector(_Connector):
    """To instances of upstreams: mutual TLS, the identity compared, sessions resumed."""

    def __init__(
        self,
        turn: Turn,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        contexts: Callable[[], Contexts | None],
        timeout_ms: Callable[[], int],
    ) -> None:
        """`timeout_ms` is the upstream's; 0: the target's own."""
        super().__init__(turn, tasks)
        self._clock = clock
        self._tallies = tallies
        self._contexts = contexts
        self._timeout_ms = timeout_ms
        self._dialler = Dialler(clock, tasks, tallies)

    async def _open(self, pool: HostPool) -> ClientCodec:
        host = pool.host
        row = host.cluster
        contexts = self._contexts()
        if contexts is None:
            raise ConnectionError("there is no leaf certificate yet")
        ready: asyncio.Future[ClientCodec] = asyncio.get_running_loop().create_future()
        tls = Tls(
            contexts.client,
            server_side=False,
            server_name=row.target.sni or None,
            session=self._dialler.session(contexts, host),
            alpn=ALPN.get(pool.protocol, ()),
        )

        def shaken(connection: HttpConnection) -> ClientCodec | None:
            wrong = ""
            if tls.identity not in row.identities:
                wrong = f"peer certificate mismatch: got {tls.identity or 'none'}, want {row.identities}"
            elif tls.valid_until <= self._clock.now().timestamp():
                wrong = "the peer's certificate has ended"
            if wrong:
                self._tallies.failed_handshakes += 1
                connection.failure = wrong
                return None
            self._tallies.resumed += tls.resumed
            self._tallies.dialled += 1
            protocol = tls.alpn or ("http/1.1" if pool.protocol == "http" else "h2")
            codec = client_codec(protocol, connection, self._turn.timers)
            if ready.done():
                return None
            ready.set_result(codec)
            return codec

        def lost(connection: HttpConnection) -> None:
            if not ready.done():
                reason = connection.failure or "the peer closed the connection during the TLS handshake"
                ready.set_exception(ConnectionError(reason))
            elif tls.ready:
                self._dialler.keep(contexts, host, tls)

        connection = HttpConnection(self._turn, tls, shaken, lost)
        timeout_ms = self._timeout_ms() or parse_duration(row.target.connect_timeout) / 1e6
        try:
            async with asyncio.timeout(timeout_ms / 1000.0):
                await asyncio.get_running_loop().create_connection(lambda: connection, host.address, host.port)
                return await ready
        except BaseException:
            self._tallies.failed_dials += 1
            connection.abort()
            if ready.done() and not ready.cancelled():
                ready.exception()
            raise


class LocalConnector(_Connector):
    """To the application behind a sidecar, in the clear."""

    def __init__(self, turn: Turn, tasks: Tasks, inbound: Callable[[], Inbound]) -> None:
        super().__init__(turn, tasks)
        self._inbound = inbound

    async def _open(self, pool: HostPool) -> ClientCodec:
        inbound = self._inbound()
        found: list[ClientCodec] = []

        def ready(connection: HttpConnection) -> ClientCodec:
            codec = client_codec("http/1.1" if pool.protocol == "http" else "h2", connection, self._turn.timers)
            found.append(codec)
            return codec

        def connection() -> HttpConnection:
            return HttpConnection(self._turn, None, ready)

        loop = asyncio.get_running_loop()
        async with asyncio.timeout(inbound.connect_timeout_ms / 1000.0):
            if inbound.local_socket:
                await loop.create_unix_connection(connection, inbound.local_socket)
            else:
                await loop.create_connection(connection, inbound.local_address, inbound.local_port)
        return found[0]
