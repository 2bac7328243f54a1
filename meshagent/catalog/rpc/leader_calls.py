"""I/O edge: a question that only the leader can answer, asked on any server.

Source: Consul's rule that a server forwards what it may not answer to the leader, and waits for one for
`performance.rpc_hold_timeout` (surface rows C5, G21).

What may be changed: nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from meshagent.catalog.rpc.hello import NEWEST, Identity, Peer
from meshagent.catalog.rpc.leading import SharedLog
from meshagent.catalog.rpc.link import Link, Methods
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.clock import Clock
from meshagent.errors import MeshError, NoLeader, NotFound, Timeout, Unavailable

__all__ = ["LeaderCalls"]

#: How often to look for a leader.
LOOK_S = 0.05


class LeaderCalls:
    """Asks the leader: over its connection (`link(node_id)`), or the handler in `methods` when this server leads."""

    def __init__(
        self,
        log: SharedLog,
        link: Callable[[str], Link | None],
        methods: Methods,
        *,
        identity: Callable[[], Identity],
        clock: Clock,
        settings: RpcSettings,
    ) -> None:
        self.settings = settings
        self._log = log
        self._link = link
        self._methods = methods
        self._identity = identity
        self._clock = clock

    async def call(
        self, method: str, payload: bytes = b"", timeout_s: float | None = None, *, again: bool = True
    ) -> bytes:
        """What the leader answers within `timeout_s` seconds (`limits.rpc_client_timeout` by default).

        `again`: whether a question that left may be asked once more when its answer is lost.

        Raises:
            NoLeader: there was none within `hold_timeout_s`. Else the MeshError that the leader answers.
        """
        deadline = self._clock.monotonic() + self.settings.hold_timeout_s
        while True:
            leader = self._log.leader_id
            link = self._link(leader) if leader else None
            here = leader == self._identity().node_id
            error: MeshError = NoLeader()
            if here or link is not None:
                try:
                    return await self._ask(None if here else link, method, payload, timeout_s)
                except (NoLeader, Unavailable, Timeout) as failure:
                    if not again and not isinstance(failure, NoLeader):
                        raise
                    error = failure
            if self._clock.monotonic() >= deadline:
                raise NoLeader(str(error) if isinstance(error, NoLeader) else "No cluster leader") from error
            await self._clock.sleep(LOOK_S)

    async def _ask(self, link: Link | None, method: str, payload: bytes, timeout_s: float | None) -> bytes:
        timeout_s = timeout_s or self.settings.client_timeout_s
        if link is not None:
            return await link.call(method, payload, timeout_s)
        own = self._identity()
        handler = self._methods.get(method)
        if handler is None:
            raise NotFound(f"this server has no method {method!r}")
        peer = Peer(own.node_id, own.node_name, own.datacenter, own.cluster_id, own.role, NEWEST, 0)
        answer = cast("asyncio.Future[bytes]", handler(peer, payload))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise Timeout(f"no answer to {method!r} within {timeout_s:g} s") from None
