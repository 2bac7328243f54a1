"""I/O edge: the local side of a sidecar: the application dials an upstream, an instance of it is found and proven.

A failed instance is followed by another one before the application notices. TLS sessions are resumed.

Source: "Outbound connection" of builtin-proxy.md of the golden mesh data, its weak points mended (no retry on another
instance, redirects and splits ignored). What may change here: other layers between the application and TLS.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable
from pathlib import Path

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Session, Tls
from meshagent.connect.proxy.pick import candidates
from meshagent.connect.proxy.pump import Side, join
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.snapshot import Cluster, Endpoint, Outbound, ProxySnapshot
from meshagent.durations import parse_duration

__all__ = ["OutboundListener"]

log = logging.getLogger("proxy.outbound")

#: Sessions are kept for so many instances.
_MAX_SESSIONS = 4096


class OutboundListener:
    """Accepts the application's connections to one upstream."""

    def __init__(
        self,
        outbound: Outbound,
        clock: Clock,
        tasks: Tasks,
        tallies: Tallies,
        rng: random.Random,
        state: Callable[[], tuple[ProxySnapshot, Contexts | None]],
    ) -> None:
        self.outbound = outbound
        self._clock = clock
        self._tasks = tasks
        self._tallies = tallies
        self._rng = rng
        self._state = state
        self._server: asyncio.Server | None = None
        self._sessions: dict[tuple[str, int], Session] = {}
        self._sessions_of: Contexts | None = None
        self.live: set[Side] = set()

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

    def _accept(self) -> asyncio.BaseProtocol:
        return Side(None, self._accepted, self._closed)

    def _accepted(self, side: Side) -> None:
        limit = self.outbound.max_connections
        if limit and len(self.live) >= limit:
            self._tallies.refused += 1
            side.abort()
            return
        self.live.add(side)
        side.pause()
        self._begin(side)

    def _closed(self, side: Side, why: str) -> None:
        self.live.discard(side)

    def _begin(self, side: Side) -> None:
        snapshot, contexts = self._state()
        if contexts is None:
            self._unreachable(side, "no leaf certificate yet")
        else:
            _Dial(self, side, contexts, candidates(snapshot, self.outbound, self._rng)).next()

    def _unreachable(self, side: Side, reason: str) -> None:
        self._tallies.unreachable += 1
        log.warning("upstream cannot be reached: name=%s error=%s", self.outbound.name, reason)
        side.abort()

    def _session(self, contexts: Contexts, endpoint: Endpoint) -> Session | None:
        if self._sessions_of is not contexts:
            self._sessions_of, self._sessions = contexts, {}
        return self._sessions.get((endpoint.address, endpoint.port))

    def _keep(self, contexts: Contexts, endpoint: Endpoint, tls: Tls) -> None:
        at = (endpoint.address, endpoint.port)
        session = tls.session
        if session is not None and self._sessions_of is contexts:
            if len(self._sessions) >= _MAX_SESSIONS and at not in self._sessions:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[at] = session


class _Dial:
    """One connection of the application on its way to an instance: tried in order until one has proven who it is."""

    __slots__ = ("cluster", "contexts", "endpoint", "far", "left", "listener", "reason", "side", "task")

    def __init__(
        self, listener: OutboundListener, side: Side, contexts: Contexts, tried: list[tuple[Cluster, Endpoint]]
    ) -> None:
        self.listener = listener
        self.side = side
        self.contexts = contexts
        self.left = iter(tried)
        self.reason = listener.outbound.problem or "no healthy instance"
        self.far: Side | None = None
        self.task: asyncio.Task[None] | None = None

    def next(self) -> None:
        """Try the next instance; after the last the application's connection is reset."""
        listener = self.listener
        if self.side.closed:
            return
        found = next(self.left, None)
        if found is None:
            listener._unreachable(self.side, self.reason)
            return
        cluster, endpoint = self.cluster, self.endpoint = found
        tls = Tls(
            self.contexts.client,
            server_side=False,
            server_name=cluster.target.sni or None,
            session=listener._session(self.contexts, endpoint),
        )
        far = self.far = Side(tls, self._shaken, self._closed)
        timeout_ms = listener.outbound.connect_timeout_ms or parse_duration(cluster.target.connect_timeout) / 1e6
        far.timer = asyncio.get_running_loop().call_later(timeout_ms / 1000.0, self._failed, far, "timed out")
        self.task = listener._tasks.start(self._connect(far, endpoint), name="outbound connection")

    async def _connect(self, far: Side, endpoint: Endpoint) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, endpoint.address, endpoint.port)
        except OSError as error:
            self._failed(far, str(error))

    def _shaken(self, far: Side) -> None:
        """The handshake is done: is it who was wanted?"""
        listener, tls, side = self.listener, far.tls, self.side
        if far is not self.far or tls is None:
            far.abort()
            return
        if far.timer is not None:
            far.timer.cancel()
        if tls.identity not in self.cluster.identities:
            listener._tallies.failed_handshakes += 1
            wanted = self.cluster.identities
            self._failed(far, f"peer certificate mismatch: got {tls.identity or 'none'}, want {wanted}")
        elif tls.valid_until <= listener._clock.now().timestamp():
            listener._tallies.failed_handshakes += 1
            self._failed(far, "the certificate has ended")
        elif side.closed:
            far.abort()
        else:
            self.task = None
            listener._tallies.resumed += tls.resumed
            listener._tallies.dialled += 1
            join(side, far)

    def _failed(self, far: Side, reason: str) -> None:
        """This instance does not do."""
        if far is not self.far:
            return
        self.far, self.reason = None, reason or "the peer closed the connection during the TLS handshake"
        self.listener._tallies.failed_dials += 1
        log.debug(
            "instance failed: upstream=%s id=%s error=%s", self.listener.outbound.name, self.endpoint.id, self.reason
        )
        if far.timer is not None:
            far.timer.cancel()
        if self.task is not None and not self.task.done():
            self.task.cancel()
        far.abort()
        self.next()

    def _closed(self, far: Side, why: str) -> None:
        """It ended: before its time, or after it was joined."""
        if far is not self.far:
            return
        tls = far.tls
        if tls is None or not tls.ready:
            self._failed(far, why)
            return
        self.listener._keep(self.contexts, self.endpoint, tls)
        self.far = None


def _remove_socket(path: str) -> None:
    """Take a socket that was left behind out of the way; anything else stays, and binding fails."""
    place = Path(path)
    if place.is_socket():
        place.unlink(missing_ok=True)
