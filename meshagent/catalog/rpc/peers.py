"""I/O edge: a dialler for each of the other servers, by node id.

Source: design.md "RPC". Raft, forwarding and whoever else talks to a server share its one connection. Each server
dials each other, so two servers have two connections: what a server asks and sends goes over the one it dialled.

What may be changed: nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from meshagent.catalog.rpc.client import Dialler, epochs
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.link import Link, Methods, RpcMetrics
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import Clock, Tasks
from meshagent.errors import Unavailable

__all__ = ["Peers"]


class Peers:
    """Connections to the servers in `set_servers`. `on_change` listeners get a node id. Made on the running loop."""

    def __init__(
        self,
        *,
        identity: Callable[[], Identity],
        security: Callable[[], Security],
        clock: Clock,
        rng: random.Random,
        metrics: RpcMetrics,
        settings: RpcSettings | None = None,
        methods: Methods | None = None,
    ) -> None:
        self.settings = settings or RpcSettings()
        self.on_change: list[Callable[[str], None]] = []
        self._identity = identity
        self._security = security
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._methods = methods
        self._epochs = epochs()
        self._diallers: dict[str, Dialler] = {}
        self._servers: dict[str, str] = {}
        self._heard_of: dict[str, str] = {}
        self._tasks = Tasks()

    def set_servers(self, servers: Mapping[str, str]) -> None:
        """Node id to `host:port` of all servers, ourselves or not: connect to the others, drop the rest."""
        self._servers = dict(servers)
        self._connect()

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Servers by what they say themselves (gossip), node id to `host:port`: connect to these, too.

        It overrides the addresses of `set_servers`: servers that all came back with other addresses could not agree on
        them while they look for each other at the old ones. And a server that joins must be able to answer a leader
        before it has learned from it who the servers are.
        """
        self._heard_of = dict(addresses)
        self._connect()

    def _connect(self) -> None:
        own = self._identity().node_id
        wanted = {node: address for node, address in {**self._servers, **self._heard_of}.items() if node != own}
        for node_id, dialler in list(self._diallers.items()):
            if wanted.get(node_id) != dialler.address:
                del self._diallers[node_id]
                self._tasks.start(dialler.stop(), name=f"rpc drop {dialler.address}")
                if dialler.link is not None:
                    self._changed(node_id)
        for node_id, address in wanted.items():
            if node_id not in self._diallers:
                self._dial(node_id, address)

    def link(self, node_id: str) -> Link | None:
        """The connection to a server, while it can be used."""
        dialler = self._diallers.get(node_id)
        return None if dialler is None else dialler.link

    def dialler(self, node_id: str) -> Dialler | None:
        """How it stands with a server."""
        return self._diallers.get(node_id)

    def epoch(self, node_id: str) -> int:
        """The number of the last connection to a server; 0 before the first."""
        dialler = self._diallers.get(node_id)
        return 0 if dialler is None else dialler.epoch

    def call(self, node_id: str, method: str, payload: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        """Ask a server. The future fails with Unavailable when there is no connection to it."""
        link = self.link(node_id)
        if link is not None:
            return link.call(method, payload, timeout_s)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        future.set_exception(Unavailable(f"no connection to server {node_id}"))
        return future

    def nudge(self, node_id: str) -> None:
        """A server is said to be alive: dial now if it is not connected."""
        if (dialler := self._diallers.get(node_id)) is not None:
            dialler.nudge()

    async def stop(self) -> None:
        """Close all connections."""
        diallers = list(self._diallers.values())
        self._diallers.clear()
        for dialler in diallers:
            await dialler.stop()
        await self._tasks.cancel()

    def _dial(self, node_id: str, address: str) -> None:
        dialler = Dialler(
            address,
            identity=self._identity,
            security=self._security,
            clock=self._clock,
            rng=self._rng,
            metrics=self._metrics,
            epochs=self._epochs,
            expected_node_id=node_id,
            settings=self.settings,
            methods=self._methods,
            on_change=lambda changed: self._changed(node_id, changed),
        )
        self._diallers[node_id] = dialler
        dialler.start()

    def _changed(self, node_id: str, dialler: Dialler | None = None) -> None:
        if dialler is not None and self._diallers.get(node_id) is not dialler:
            return  # one that was dropped, or replaced under a new address
        for listener in self.on_change:
            listener(node_id)
