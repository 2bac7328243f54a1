"""I/O edge: the server RPC port: accepts connections, tells protocols apart, keeps count of who is connected.

Source: design.md "RPC"; Consul's rule that one port serves all by the first byte (surface rows G12, G15, G21). The
first byte is looked at, not taken: 0x16 is TLS (then ALPN must say "meshagent/1"), `M` our preface in plain TCP, which
is taken only where no certificate is configured. 0x07 is TLS of who has no certificate yet (`auto_encrypt`): behind it
only `bootstrap_methods` can be asked. All else is refused and counted.

What may be changed: another protocol on this port is another first byte, or another ALPN word.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial

from meshagent.catalog.rpc.connection import Connection
from meshagent.catalog.rpc.frames import PREFACE
from meshagent.catalog.rpc.hello import SERVER, Identity, Peer
from meshagent.catalog.rpc.link import Handler, Link, Methods, RpcMetrics
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import ALPN, BOOTSTRAP, BOOTSTRAP_ALPN, Security, classify
from meshagent.clock import Clock, Tasks

__all__ = ["RpcServer"]

log = logging.getLogger("agent.server.rpc")

BACKLOG = 256
#: Connections that have not said anything yet, from all addresses together.
MAX_GREETING = 512
TLS_HANDSHAKE = 0x16
#: Pause after the process ran out of descriptors; a connection that closes frees one.
ACCEPT_PAUSE_S = 0.5
#: The same refusal of the same address is logged once in this time; all are counted. So many are remembered.
QUIET_S = 10.0
MAX_QUIET = 1024
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class RpcServer:
    """Listens for servers and clients. `identity`, `settings` and `security` may be replaced: new connections use them.

    `methods` serve requests. `on_raft(link, payload)` gets the Raft messages of peers that are servers; `link.number`
    is higher for a newer connection. Made on the running loop.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        clock: Clock,
        metrics: RpcMetrics,
        methods: Methods | None = None,
        settings: RpcSettings | None = None,
        security: Security | None = None,
    ) -> None:
        self.identity = identity
        self.settings = settings or RpcSettings()
        self.security = security or Security()
        #: May be added to: the log's methods need the log, that needs its transport, that needs this.
        self.methods: dict[str, Handler] = dict(methods or {})
        #: What can be asked on a connection without a certificate; empty: there are no such connections.
        self.bootstrap_methods: dict[str, Handler] = {}
        #: The client agent that a certificate with these names speaks for, as `hello.judge` takes it.
        self.agent_of: Callable[[frozenset[str]], str | None] = lambda _: None
        self.on_raft: Callable[[Link, bytes], None] | None = None
        #: Called with every peer that was accepted (a server that learns its cluster's id from another, for one).
        self.on_peer: Callable[[Peer], None] | None = None
        self._clock = clock
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self._sockets: list[socket.socket] = []
        self._links: set[Link] = set()
        self._servers: dict[str, Link] = {}
        self._per_client: dict[str, int] = {}
        self._quiet_until: dict[tuple[str, Reason], float] = {}
        self._greeting = 0
        self._number = 0
        self._stopping = False

    @property
    def links(self) -> frozenset[Link]:
        """The connections that stand or are being greeted."""
        return frozenset(self._links)

    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen on an address (port 0: any); where. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listener.setblocking(False)
        self._sockets.append(listener)
        self._tasks.start(self._accept(listener), name="rpc accept")
        name = listener.getsockname()
        return str(name[0]), int(name[1])

    async def stop(self) -> None:
        """Stop listening and end all connections, saying why."""
        self._stopping = True
        await self._tasks.cancel()
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()
        for link in list(self._links):
            link.close(Reason.STOPPING, "the server shuts down")

    # -- accepting

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    log.error("rpc: cannot accept connections: %s", error)
                    await self._clock.sleep(ACCEPT_PAUSE_S)
                continue
            connection.setblocking(False)
            self._metrics.incr("rpc.accept_conn")
            remote = str(address[0])
            limit = self.settings.max_conns_per_client
            if 0 < limit <= self._per_client.get(remote, 0) or self._greeting >= MAX_GREETING:
                connection.close()
                self._refused(remote, Reason.TOO_MANY, f"{limit} connections (limits.rpc_max_conns_per_client)")
                continue
            self._per_client[remote] = self._per_client.get(remote, 0) + 1
            self._greeting += 1
            self._tasks.start(self._greet(connection, remote), name="rpc greeting")

    async def _greet(self, connection: socket.socket, remote: str) -> None:
        """Look at the first byte and hand the socket on. Counts it off again when it does not become a link."""
        made: list[Link] = []
        try:
            async with asyncio.timeout(self.settings.handshake_timeout_s):
                first = await self._first_byte(connection)
            reason, detail = self._unwanted(first)
            if reason is None:
                await self._hand_on(connection, remote, made, first[0])
                return
        except TimeoutError:
            reason, detail = Reason.HANDSHAKE_TIMEOUT, "it says nothing"
        except OSError as error:  # SSLError is one
            reason, detail = classify(error), str(error) or "it ended the TLS handshake: it may refuse our certificate"
        finally:
            self._greeting -= 1
            if not made:
                connection.close()
                self._release(remote)
        self._refused(remote, reason, detail)

    async def _first_byte(self, connection: socket.socket) -> bytes:
        readable: asyncio.Future[None] = self._loop.create_future()
        descriptor = connection.fileno()
        self._loop.add_reader(descriptor, _set, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(descriptor)
        return connection.recv(1, socket.MSG_PEEK)

    def _unwanted(self, first: bytes) -> tuple[Reason | None, str]:
        secure = self.security.listener is not None
        if not first:
            return Reason.LOST, "it closed before it said anything"
        if first[0] == TLS_HANDSHAKE:
            return (None, "") if secure else (Reason.UNEXPECTED_TLS, "this server has no certificate: set cert_file")
        if first[0] == BOOTSTRAP and self.bootstrap_methods and self.security.bootstrap is not None:
            return None, ""
        if first != PREFACE[:1]:
            return Reason.GARBAGE, f"the first byte is 0x{first[0]:02x}"
        return (Reason.PLAIN, "this server takes TLS only (tls.internal_rpc)") if secure else (None, "")

    async def _hand_on(self, connection: socket.socket, remote: str, made: list[Link], first: int) -> None:
        contexts = {TLS_HANDSHAKE: self.security.listener, BOOTSTRAP: self.security.bootstrap}
        bootstrap = first == BOOTSTRAP
        if bootstrap:
            connection.recv(1)

        def protocol() -> Link:
            made.append(self.adopt(remote, bootstrap=bootstrap))
            return made[0]

        try:
            if first in contexts:
                await self._loop.connect_accepted_socket(
                    protocol,
                    connection,
                    ssl=contexts[first],
                    ssl_handshake_timeout=self.settings.handshake_timeout_s or None,
                )
            else:
                await self._loop.connect_accepted_socket(protocol, connection)
        except BaseException:
            for link in made:  # made and never connected
                self._links.discard(link)
            made.clear()
            raise
        if self._stopping:
            made[0].close(Reason.STOPPING)

    def adopt(self, remote: str, *, bootstrap: bool = False) -> Link:
        """The protocol of a connection that was accepted, from the address `remote`."""
        self._number += 1
        link = Link(
            self._bootstrap_machine if bootstrap else self._machine,
            clock=self._clock,
            metrics=self._metrics,
            methods=self.bootstrap_methods if bootstrap else self.methods,
            on_accepted=self._accepted,
            on_closed=partial(self._closed, remote=remote),
            on_raft=self._raft,
            remote=remote,
            number=self._number,
            alpn=BOOTSTRAP_ALPN if bootstrap else ALPN,
        )
        self._links.add(link)
        return link

    def _machine(self, names: frozenset[str]) -> Connection:
        return Connection(
            self.identity,
            self.settings,
            dialled=False,
            names=names if self.security.prove_dialler else None,
            domain=self.security.domain,
            only_node=self.agent_of(names) if names else None,
        )

    def _bootstrap_machine(self, _: frozenset[str]) -> Connection:
        """Nobody proves anything here: no server, and of no cluster that it would have to know."""
        return Connection(self.identity, self.settings, dialled=False, names=(), domain=self.security.domain)

    # -- links

    def _accepted(self, link: Link, peer: Peer) -> None:
        if peer.role == SERVER:
            older = self._servers.get(peer.node_id)
            self._servers[peer.node_id] = link
            if older is not None:
                older.close(Reason.SUPERSEDED, "it has connected again")
        log.debug("rpc: connected: node=%s address=%s role=%s", peer.node_name, link.remote, peer.role)
        if self.on_peer is not None:
            self.on_peer(peer)

    def _raft(self, link: Link, payload: bytes) -> None:
        if self.on_raft is not None:
            self.on_raft(link, payload)

    def _closed(self, link: Link, *, remote: str) -> None:
        self._links.discard(link)
        self._release(remote)
        if link.peer is not None and self._servers.get(link.peer.node_id) is link:
            del self._servers[link.peer.node_id]
        reason = link.reason or Reason.LOST
        if reason.refused:
            self._refused(remote, reason, link.detail)
        else:
            self._metrics.incr("rpc.closed", 1, (("reason", reason),))

    def _release(self, remote: str) -> None:
        count = self._per_client.get(remote, 0) - 1
        if count > 0:
            self._per_client[remote] = count
        else:
            self._per_client.pop(remote, None)

    def _refused(self, remote: str, reason: Reason, detail: str) -> None:
        self._metrics.incr("rpc.refused", 1, (("reason", reason),))
        now = self._clock.monotonic()
        if now < self._quiet_until.get((remote, reason), now):
            return
        if len(self._quiet_until) >= MAX_QUIET:
            self._quiet_until.clear()
        self._quiet_until[remote, reason] = now + QUIET_S
        log.warning("rpc: connection refused: from=%s reason=%s: %s", remote, reason, detail)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
