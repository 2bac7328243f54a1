"""I/O edge: one connection of the application on its way to an instance, which has to prove who it is.

Instances are tried one after the other; what became of each is told to its cluster. No future and no timeout object for
each: a new connection costs a task for the TCP connect and a timer.

Source: "Outbound connection" of builtin-proxy.md of the golden mesh data; RFC 8446 section 4.6.1 (tickets). What may
change here: only with the bench (`bench/run.py --only mesh_l4_connections`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.cluster.cluster import CONNECT_FAILED
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Session, Tls
from meshagent.connect.proxy.origins import Origin
from meshagent.connect.proxy.pump import Side, join
from meshagent.connect.proxy.tallies import Tallies
from meshagent.durations import parse_duration

__all__ = ["Choice", "Dial", "Dialler"]

log = logging.getLogger("proxy.outbound")

#: Instances tried for one connection.
_TRIES = 3
#: What `result` is told of an instance that took a connection.
_CONNECTED = 200
#: Sessions are kept for so many instances.
_MAX_SESSIONS = 4096


class Dialler:
    """What the dials of one listener share: sessions of instances, each good for several connections."""

    def __init__(self, clock: Clock, tasks: Tasks, tallies: Tallies) -> None:
        self.clock = clock
        self.tasks = tasks
        self.tallies = tallies
        self._sessions: dict[tuple[str, int], Session] = {}
        self._sessions_of: Contexts | None = None

    def session(self, contexts: Contexts, host: Host) -> Session | None:
        """One to resume; None for a full handshake."""
        if self._sessions_of is not contexts:
            self._sessions_of, self._sessions = contexts, {}
        return self._sessions.get((host.address, host.port))

    def keep(self, contexts: Contexts, host: Host, tls: Tls) -> None:
        """This connection's session may be resumed by the next ones."""
        at = (host.address, host.port)
        session = tls.session
        if session is not None and self._sessions_of is contexts:
            if len(self._sessions) >= _MAX_SESSIONS and at not in self._sessions:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[at] = session


class Choice(Protocol):
    """What gives an instance for each try: a cluster, or something that stands for one instance of it."""

    def pick(self, hash_key: int | None = None, exclude: Collection[Host] = ()) -> Host | None:
        """As `Cluster.pick`."""

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        """As `Cluster.result`."""


class Dial:
    """The tries of one connection. It ends with `on_joined(instance)` or with `on_failed(reason)`, or with `side`."""

    __slots__ = (
        "_cluster", "_contexts", "_dialler", "_far", "_host", "_on_failed", "_on_joined", "_origin", "_reason", "_side",
        "_started", "_task", "_timeout_ms", "_tried",
    )  # fmt: skip

    def __init__(
        self,
        dialler: Dialler,
        side: Side,
        contexts: Contexts,
        cluster: Choice,
        timeout_ms: int,
        on_joined: Callable[[Host], None],
        on_failed: Callable[[str], None],
        origin: Origin | None = None,
    ) -> None:
        """`timeout_ms` of each try; 0: the target's own. `origin`: how instances outside the mesh are reached."""
        self._origin = origin
        self._dialler = dialler
        self._side = side
        self._contexts = contexts
        self._cluster = cluster
        self._timeout_ms = timeout_ms
        self._on_joined = on_joined
        self._on_failed = on_failed
        self._reason = ""
        self._tried: list[Host] = []
        self._host: Host | None = None
        self._far: Side | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0

    def next(self) -> None:
        """Try the next instance."""
        if self._side.closed:
            return
        host = self._cluster.pick(None, self._tried) if len(self._tried) < _TRIES else None
        if host is None or host in self._tried:
            self._on_failed(self._reason)
            return
        self._tried.append(host)
        self._host = host
        row = host.cluster
        tls = self._tls(host) if self._origin is None else self._origin.tls(host)
        far = self._far = Side(tls, self._shaken if tls is not None else None, self._closed)
        timeout_ms = self._timeout_ms or parse_duration(row.target.connect_timeout) / 1e6
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        far.timer = loop.call_later(timeout_ms / 1000.0, self._failed, far, "timed out", CONNECT_FAILED)
        self._task = self._dialler.tasks.start(self._connect(far, host), name="outbound connection")

    def _tls(self, host: Host) -> Tls:
        target = host.cluster.target
        session = self._dialler.session(self._contexts, host)
        context = self._contexts.client_of(target.peer)
        return Tls(context, server_side=False, server_name=target.sni or None, session=session)

    async def _connect(self, far: Side, host: Host) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, host.address, host.port)
        except OSError as error:
            self._failed(far, str(error), CONNECT_FAILED)
            return
        if far.tls is None:  # not while the transport is made: it begins to read only then
            self._shaken(far)

    def _shaken(self, far: Side) -> None:
        """The handshake is done: is it who was wanted?"""
        tls, host, tallies = far.tls, self._host, self._dialler.tallies
        if far is not self._far or host is None:
            far.abort()
            return
        wrong = self._wrong(tls, host) if self._origin is None else self._origin.wrong(tls)
        if wrong:
            tallies.failed_handshakes += 1
            self._failed(far, wrong, CONNECT_FAILED)
            return
        self._task = None
        self._settle(far, _CONNECTED)
        if self._side.closed:
            far.abort()
            return
        tallies.resumed += tls is not None and tls.resumed
        tallies.dialled += 1
        self._on_joined(host)
        join(self._side, far)

    def _wrong(self, tls: Tls | None, host: Host) -> str:
        wanted, identity = host.cluster.identities, tls.identity if tls is not None else ""
        if tls is None or identity not in wanted:
            return f"peer certificate mismatch: got {identity or 'none'}, want {wanted}"
        ended = tls.valid_until <= self._dialler.clock.now().timestamp()
        return "the peer's certificate has ended" if ended else ""

    def _failed(self, far: Side, reason: str, outcome: int) -> None:
        """This instance does not do."""
        host = self._host
        if far is not self._far or host is None:
            return
        self._far, self._reason = None, reason or "the peer closed the connection during the TLS handshake"
        self._dialler.tallies.failed_dials += 1
        log.debug("instance failed: target=%s id=%s error=%s", host.target, host.endpoint.id, self._reason)
        self._settle(far, outcome)
        if self._task is not None and not self._task.done():
            self._task.cancel()
        far.abort()
        self.next()

    def _settle(self, far: Side, outcome: int) -> None:
        if far.timer is not None:
            far.timer.cancel()
        if self._host is not None:
            self._cluster.result(self._host, outcome, asyncio.get_running_loop().time() - self._started)

    def _closed(self, far: Side, why: str) -> None:
        """It ended: before its time, or after it was joined."""
        if far is not self._far:
            return
        tls = far.tls
        if tls is None:
            if far.other is None:
                self._failed(far, why, CONNECT_FAILED)
        elif not tls.ready:
            self._failed(far, why, CONNECT_FAILED)
        elif self._host is not None and self._origin is None:
            self._dialler.keep(self._contexts, self._host, tls)
