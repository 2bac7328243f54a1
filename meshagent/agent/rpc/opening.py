"""I/O edge: how a client agent connects to a server: one attempt, or the first of the list that accepts.

Source: README.md beside this file. What may be changed: nothing here decides when to connect.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from meshagent.agent.rpc.session import Session
from meshagent.agent.servers import Server, Servers
from meshagent.catalog.rpc.client import Dialler, epochs
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.link import Link, Methods, RpcMetrics
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import Clock, Tasks

__all__ = ["Opener"]


class Opener:
    """Makes sessions. Identity, security and settings are asked for each attempt. Made on the running loop."""

    def __init__(
        self,
        *,
        identity: Callable[[], Identity],
        security: Callable[[], Security],
        clock: Clock,
        rng: random.Random,
        metrics: RpcMetrics,
        settings: Callable[[], RpcSettings],
        methods: Methods | None = None,
    ) -> None:
        self._identity = identity
        self._security = security
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._settings = settings
        self._methods = methods if methods is not None else {}
        self._epochs = epochs()
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()

    async def best(self, servers: Servers) -> Session | None:
        """A connection to the best server that accepts one; those that do not go to the end of the list."""
        for _ in range(len(servers.all)):
            server = servers.first
            if server is None:
                break
            session = await self.open(server)
            if session is not None:
                return session
            servers.failed(server)
        return None

    async def open(self, server: Server) -> Session | None:
        """A connection to that server, None when it cannot be had. It ends when `Session.task` is cancelled."""
        accepted: asyncio.Future[Link] = self._loop.create_future()

        def changed(dialler: Dialler) -> None:
            if dialler.link is not None and not accepted.done():
                accepted.set_result(dialler.link)

        settings = self._settings()
        dialler = Dialler(
            server.address,
            identity=self._identity,
            security=self._security,
            clock=self._clock,
            rng=self._rng,
            metrics=self._metrics,
            epochs=self._epochs,
            expected_node_id=server.node_id,
            settings=settings,
            methods=self._methods,
            on_change=changed,
        )
        task: asyncio.Task[object] = self._tasks.start(dialler.once(), name=f"rpc dial {server.address}")
        try:
            await asyncio.wait((accepted, task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not accepted.done():
            return None
        # A server waits as long for its leader; then its own answer says more than our giving up.
        return Session(server, accepted.result(), task, settings.hold_timeout_s + 1.0)

    async def stop(self) -> None:
        """End all connections."""
        await self._tasks.cancel()
