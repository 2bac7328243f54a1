"""I/O edge: the local side of a sidecar: the application dials an upstream, an instance of it is found and proven.

A failed instance is followed by another one before the application notices, and what became of each is told to its
cluster, which balances, ejects and limits. TLS sessions are resumed.

Source: "Outbound connection" of builtin-proxy.md of the golden mesh data, its weak points mended (no retry on another
instance, redirects and splits ignored). What may change here: other layers between the application and TLS.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

from meshagent.clock import Tasks
from meshagent.connect.proxy.cluster.cluster import CONNECT_FAILED, TIMED_OUT, Cluster
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.proxy.pump import Side, join
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import Outbound, ProxySnapshot
from meshagent.durations import parse_duration

__all__ = ["OutboundListener"]

log = logging.getLogger("proxy.outbound")

#: Instances tried for one connection.
_TRIES = 3
#: What `result` is told of an instance that took a connection.
_CONNECTED = 200
#: Sessions are kept for so many instances.
_MAX_SESSIONS = 4096


class OutboundListener:
    """Accepts the application's connections to one upstream."""

    def __init__(
        self,
        outbound: Outbound,
        tasks: Tasks,
        tallies: Tallies,
        clusters: Clusters,
        state: Callable[[], tuple[ProxySnapshot, Contexts | None]],
    ) -> None:
        self.outbound = outbound
        self._tasks = tasks
        self._tallies = tallies
        self._clusters = clusters
        self._state = state
        self._server: asyncio.Server | None = None
        self._sessions: dict[tuple[str, int], ssl.SSLSession] = {}
        self._sessions_of: Contexts | None = None
        #: The application's side of what is open, with the instance once there is one.
        self.live: dict[Side, tuple[Cluster, Host | None] | None] = {}

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        one = self.outbound
        if one.socket_path:
            _remove_socket(one.socket_path)
            self._server = await loop.create_unix_server(self._accept, one.socket_path)
            os.chmod(one.socket_path, int(one.socket_mode, 8) if one.socket_mode else 0o600)
        else:
            self._server = await loop.create_server(self._accept, one.address, one.port, backlog=1024)
        log.info("listening: address=%s upstream=%s", one.key, one.name)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            if self.outbound.socket_path:
                _remove_socket(self.outbound.socket_path)

    def abort_all(self) -> None:
        """Cut what is open."""
        for side in list(self.live):
            side.abort()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.Protocol:
        return Side(None, self._accepted, self._closed)

    def _accepted(self, side: Side) -> None:
        cluster = self._clusters.drawn(self.outbound.key)
        if cluster is not None and not cluster.breaker.try_connection():
            self._tallies.refused += 1
            side.abort()
            return
        self.live[side] = (cluster, None) if cluster is not None else None
        side.pause()
        self._tasks.start(self._dial(side, cluster), name="outbound connection")

    def _closed(self, side: Side, why: str) -> None:
        held = self.live.pop(side, None)
        if held is not None:
            cluster, host = held
            cluster.breaker.end_connection()
            if host is not None:
                host.active -= 1

    async def _dial(self, side: Side, cluster: Cluster | None) -> None:
        _, contexts = self._state()
        reason = "no leaf certificate yet" if contexts is None else self.outbound.problem or "no healthy instance"
        tried: list[Host] = []
        while contexts is not None and cluster is not None and len(tried) < _TRIES:
            host = cluster.pick(None, tried)
            if host is None or host in tried:
                break
            tried.append(host)
            started = asyncio.get_running_loop().time()
            outcome = _CONNECTED
            try:
                far = await self._connect(contexts, host)
            except (OSError, TimeoutError) as error:
                outcome = TIMED_OUT if isinstance(error, TimeoutError) else CONNECT_FAILED
                reason = str(error) or "timed out"
            cluster.result(host, outcome, asyncio.get_running_loop().time() - started)
            if outcome != _CONNECTED:
                self._tallies.failed_dials += 1
                log.debug("instance failed: upstream=%s id=%s error=%s", self.outbound.name, host.endpoint.id, reason)
                continue
            if side.closed:
                far.abort()
                return
            host.active += 1
            self.live[side] = (cluster, host)
            self._tallies.dialled += 1
            join(side, far)
            return
        self._tallies.unreachable += 1
        log.warning("upstream cannot be reached: name=%s error=%s", self.outbound.name, reason)
        side.abort()

    async def _connect(self, contexts: Contexts, host: Host) -> Side:
        """A connection whose peer has proven to be the service of the host. Raises OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        row = host.cluster
        at = (host.address, host.port)
        if self._sessions_of is not contexts:
            self._sessions_of, self._sessions = contexts, {}
        tls = Tls(
            contexts.client,
            server_side=False,
            server_name=row.target.sni or None,
            session=self._sessions.pop(at, None),
        )

        def closed(side: Side, why: str) -> None:
            if not ready.done():
                ready.set_exception(ConnectionError(why or "the peer closed the connection during the TLS handshake"))
            elif tls.ready:
                self._keep(contexts, at, tls)

        side = Side(tls, lambda _: None if ready.done() else ready.set_result(None), closed)
        timeout_ms = self.outbound.connect_timeout_ms or parse_duration(row.target.connect_timeout) / 1e6
        try:
            async with asyncio.timeout(timeout_ms / 1000.0):
                await loop.create_connection(lambda: side, *at)
                await ready
        except BaseException:
            side.abort()
            if ready.done() and not ready.cancelled():
                ready.exception()
            raise
        side.pause()
        if tls.identity not in row.identities:
            self._tallies.failed_handshakes += 1
            side.abort()
            raise ConnectionError(f"peer certificate mismatch: got {tls.identity or 'none'}, want {row.identities}")
        self._tallies.resumed += tls.resumed
        return side

    def _keep(self, contexts: Contexts, at: tuple[str, int], tls: Tls) -> None:
        session = tls.session
        if session is not None and session.has_ticket and self._sessions_of is contexts:
            if len(self._sessions) >= _MAX_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[at] = session


def _remove_socket(path: str) -> None:
    """Take a socket that was left behind out of the way; anything else stays, and binding fails."""
    place = Path(path)
    if place.is_socket():
        place.unlink(missing_ok=True)
