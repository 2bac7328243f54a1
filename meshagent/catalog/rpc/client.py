"""I/O edge: the dialler: keeps one connection to one server, for as long as it is wanted.

Source: design.md "RPC". Each attempt has a number (the epoch) that is higher than all before it in this process; what
dialler and transport show is that of the connection that was accepted last. A failed attempt is followed by a pause
that grows (`backoff.py`).

What may be changed: nothing here knows what is asked over the connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

from meshagent.catalog.rpc.backoff import Backoff
from meshagent.catalog.rpc.connection import Connection
from meshagent.catalog.rpc.hello import Identity, Peer
from meshagent.catalog.rpc.link import Link, Methods, RpcMetrics
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import ALPN, BOOTSTRAP, BOOTSTRAP_ALPN, Security, classify
from meshagent.clock import Clock, Tasks

__all__ = ["Dialler", "epochs"]

log = logging.getLogger("agent.client.rpc")

#: An attempt that failed for the same reason as the one before is not logged again.
Attempt = tuple[Reason, str]


def epochs() -> Iterator[int]:
    """Numbers for the connections of one process; share one among all its diallers."""
    return itertools.count(1)


class Dialler:
    """One server. `on_change(self)` is called when its connection comes up or goes down.

    `expected_node_id` "" takes whoever answers (the address of a server that is not known yet). `identity` and
    `security` are asked at every attempt, so that a reload or a join reaches it. `bootstrap`: this agent has no
    certificate yet, and asks for its first one.
    """

    def __init__(
        self,
        address: str,
        *,
        identity: Callable[[], Identity],
        security: Callable[[], Security],
        clock: Clock,
        rng: random.Random,
        metrics: RpcMetrics,
        epochs: Iterator[int],
        expected_node_id: str = "",
        settings: RpcSettings | None = None,
        methods: Methods | None = None,
        on_change: Callable[[Dialler], None] = lambda dialler: None,
        bootstrap: bool = False,
    ) -> None:
        self.address = address
        self.epoch = 0
        #: Why the last attempt or connection ended.
        self.last_failure: Attempt | None = None
        self._identity = identity
        self._security = security
        self._clock = clock
        self._metrics = metrics
        self._epochs = epochs
        self._expected_node_id = expected_node_id
        self._settings = settings or RpcSettings()
        self._methods = methods or {}
        self._on_change = on_change
        self._bootstrap = bootstrap
        self._backoff = Backoff(self._settings.redial_first_s, self._settings.redial_longest_s, rng)
        self._link: Link | None = None
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._nudge = asyncio.Event()

    @property
    def link(self) -> Link | None:
        """The connection, while it can be used."""
        link = self._link
        return link if link is not None and link.ready else None

    @property
    def peer(self) -> Peer | None:
        """Who is connected."""
        link = self.link
        return None if link is None else link.peer

    def start(self) -> None:
        """Begin to dial."""
        self._tasks.start(self._run(), name=f"rpc dial {self.address}")

    async def once(self) -> Attempt:
        """Dial a single time instead of `start`; why it failed, or why the connection ended."""
        reason, detail = await self._attempt(next(self._epochs))
        self._note(reason, detail)
        return reason, detail

    def nudge(self) -> None:
        """Do not wait for the end of the pause: there is news of this server."""
        self._nudge.set()

    async def stop(self) -> None:
        """Close the connection and dial no more."""
        await self._tasks.cancel()
        if self._link is not None:
            self._link.close(Reason.STOPPING)

    async def _run(self) -> None:
        while True:
            began = self._clock.monotonic()
            reason, detail = await self._attempt(next(self._epochs))
            self._backoff.lasted(self._clock.monotonic() - began)
            self._note(reason, detail)
            self._nudge.clear()
            pause = self._tasks.start(self._clock.sleep(self._backoff.pause()), name="rpc dial pause")
            nudge = self._tasks.start(self._nudge.wait(), name="rpc dial nudge")
            await asyncio.wait((pause, nudge), return_when=asyncio.FIRST_COMPLETED)
            pause.cancel()
            nudge.cancel()

    async def _attempt(self, epoch: int) -> Attempt:
        """Dial once; why it failed, or why the connection ended."""
        closed: asyncio.Future[None] = self._loop.create_future()
        identity, security = self._identity(), self._security()

        def accepted(link: Link, peer: Peer) -> None:
            self._link = link
            self.epoch = epoch
            self.last_failure = None
            log.info("rpc: connected: node=%s address=%s epoch=%d", peer.node_name, self.address, epoch)
            self._on_change(self)

        def ended(_: Link) -> None:
            if not closed.done():
                closed.set_result(None)

        def machine(names: frozenset[str]) -> Connection:
            return Connection(
                identity,
                self._settings,
                dialled=True,
                epoch=epoch,
                expected_node_id=self._expected_node_id,
                names=names if security.prove_listener else None,
                domain=security.domain,
            )

        link = Link(
            machine,
            clock=self._clock,
            metrics=self._metrics,
            methods=self._methods,
            on_accepted=accepted,
            on_closed=ended,
            remote=self.address,
            number=epoch,
            alpn=BOOTSTRAP_ALPN if self._bootstrap else ALPN,
        )
        host, _, port = self.address.rpartition(":")
        context = security.bootstrap if self._bootstrap else security.dialler
        timeout_s = self._settings.handshake_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect(
                    link,
                    host.strip("[]"),
                    int(port),
                    ssl=context,
                    server_hostname=security.hostname(identity.datacenter) if context is not None else None,
                    ssl_handshake_timeout=timeout_s if context is not None else None,
                )
        except TimeoutError:
            return Reason.HANDSHAKE_TIMEOUT, f"no connection within {timeout_s:g} s"
        except OSError as error:
            reason = classify(error)
            return (Reason.UNREACHABLE if reason is Reason.LOST else reason), str(error)
        try:
            await closed
        finally:
            if link.reason is None:
                link.close(Reason.STOPPING)
            if self._link is link:
                self._link = None
                self._on_change(self)
        return link.reason or Reason.LOST, link.detail

    async def _connect(self, link: Link, host: str, port: int, **tls: Any) -> None:
        """Raises OSError."""
        if not self._bootstrap:
            await self._loop.create_connection(lambda: link, host, port, **tls)
            return
        connected = await self._greeted(host, port)
        try:
            await self._loop.create_connection(lambda: link, sock=connected, **tls)
        except BaseException:
            connected.close()
            raise

    async def _greeted(self, host: str, port: int) -> socket.socket:
        """A socket to the server, which knows that we have no certificate yet."""
        problem = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            connected = socket.socket(family, kind, protocol)
            connected.setblocking(False)
            try:
                await self._loop.sock_connect(connected, address)
                await self._loop.sock_sendall(connected, bytes([BOOTSTRAP]))
            except OSError as error:
                connected.close()
                problem = error
            except BaseException:
                connected.close()
                raise
            else:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connected
        raise problem

    def _note(self, reason: Reason, detail: str) -> None:
        name = "rpc.refused" if reason.refused else "rpc.closed"
        self._metrics.incr(name, 1, (("reason", reason),))
        if self.last_failure != (reason, detail):
            log.warning("rpc: no connection: address=%s reason=%s: %s", self.address, reason, detail)
        self.last_failure = (reason, detail)
