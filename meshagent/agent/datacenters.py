"""I/O edge: the other datacenters, as a server knows them from the WAN pool: how far they are, and the way to each.

A request for another datacenter goes to one of its servers, as a request of one of its clients would: over the same
RPC port, the same method `http`, with the certificate of this server. One connection for each datacenter that was
asked for.

Source: surface rows C5, C9, CT3; developer.hashicorp.com/consul/api-docs/catalog (order of datacenters). What may
change here: how long a connection that nobody needs stays.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.http.forwarding import Forwarder
from meshagent.agent.rpc.upstream import Upstream
from meshagent.agent.server_tags import read_server
from meshagent.agent.servers import Server, Servers
from meshagent.catalog.coordinates import distance_s
from meshagent.catalog.rpc.hello import CLIENT, Identity
from meshagent.catalog.rpc.link import RpcMetrics
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import Clock
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.gossip.pools import MemberEvent, Pools
    from meshagent.agent.http.settings import HttpSettings

__all__ = ["Datacenters"]


@dataclass(slots=True)
class _Way:
    """The way to one datacenter."""

    upstream: Upstream
    forwarders: dict[bytes, Forwarder] = field(default_factory=dict)


class Datacenters:
    """Of a server. `identity`, `security` and `settings` are asked when a connection is made."""

    def __init__(
        self,
        pools: Pools,
        *,
        identity: Callable[[], Identity],
        security: Callable[[], Security],
        settings: Callable[[], RpcSettings],
        clock: Clock,
        rng: random.Random,
        metrics: RpcMetrics,
    ) -> None:
        self._pools = pools
        self._identity = identity
        self._security = security
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._ways: dict[str, _Way] = {}
        pools.observe(self._changed)

    def names(self) -> list[str]:
        """All datacenters, ours first, then the nearest (median round trip to its servers), unknown ones by name."""
        own = self._identity().datacenter
        here = self._pools.coordinate(wan=True) if self._pools.pool(wan=True) is not None else None
        known = self._pools.coordinates(wan=True) if here is not None else {}
        times: dict[str, list[float]] = {}
        for member in self._pools.members(wan=True):
            name = member.tags.get("dc", "")
            if name and name != own and member.status != Status.LEFT and read_server(member, name) is not None:
                place = known.get(member.name)
                away_s = distance_s(here, place) if here is not None and place is not None else math.inf
                times.setdefault(name, []).append(away_s)
        return [own, *sorted(times, key=lambda name: (statistics.median_low(times[name]), name))]

    def forwarder(self, datacenter: str, settings: HttpSettings, always: bytes) -> Forwarder:
        """What sends requests there.

        Raises:
            InternalError: nobody knows it, or none of its servers can be reached.
        """
        upstream = self.upstream(datacenter)
        way = self._ways[datacenter]
        forwarder = way.forwarders.get(always)
        if forwarder is None or forwarder.settings is not settings:
            forwarder = way.forwarders[always] = Forwarder(upstream, settings, always)
        return forwarder

    def upstream(self, datacenter: str) -> Upstream:
        """The connection to a server there. Raises InternalError, as `forwarder` does."""
        servers = self._servers(datacenter)
        if not servers:
            known = datacenter in self.names()
            raise InternalError("Remote DC has no server currently reachable" if known else "No path to datacenter")
        self._metrics.incr("rpc.cross-dc", 1, (("datacenter", datacenter),))
        way = self._ways.get(datacenter)
        if way is None:
            way = self._ways[datacenter] = _Way(self._upstream(datacenter))
            way.upstream.start()
        way.upstream.set_servers(servers)
        return way.upstream

    async def stop(self) -> None:
        """Close all connections."""
        ways, self._ways = self._ways, {}
        for way in ways.values():
            await way.upstream.stop()

    # --- inside ------------------------------------------------------------------------------------------------

    def _servers(self, datacenter: str) -> list[Server]:
        alive: list[Member] = [member for member in self._pools.members(wan=True) if member.status == Status.ALIVE]
        found = (read_server(member, datacenter) for member in alive)
        return [Server(server.address, server.node_id) for server in found if server is not None]

    def _upstream(self, datacenter: str) -> Upstream:
        def identity() -> Identity:
            own = self._identity()
            return Identity(own.node_id, f"{own.node_name}.{own.datacenter}", datacenter, role=CLIENT)

        return Upstream(
            Servers(self._rng),
            identity=identity,
            security=self._security,
            clock=self._clock,
            rng=self._rng,
            metrics=self._metrics,
            settings=self._settings(),
        )

    def _changed(self, event: MemberEvent) -> None:
        if event.wan:
            for datacenter, way in self._ways.items():
                way.upstream.set_servers(self._servers(datacenter))
