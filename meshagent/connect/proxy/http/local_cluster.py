"""The application behind a sidecar, as a cluster of one. No I/O.

Source: Envoy's `local_app` cluster. What may change here: limits.
"""

from __future__ import annotations

from collections.abc import Collection

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import MeshGateway, TransparentProxy
from meshagent.connect.chain import Target
from meshagent.connect.proxy.cluster.breakers import Breakers
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.http.hooks import Breaker
from meshagent.connect.proxy.http.pool import Connect, HostPool
from meshagent.connect.proxy.http.streams import Timers
from meshagent.connect.resilience import Limits
from meshagent.connect.snapshot import Cluster, Endpoint, Inbound, ProxySnapshot

__all__ = ["LocalCluster"]

#: Who is let in is bounded by `max_inbound_connections`; the application says itself what is too much for it.
_NO_LIMITS = Limits(None, None, None, 100.0, 1 << 30)


class LocalCluster:
    """`Cluster` whose only host is the application."""

    name = "local_app"

    def __init__(self, snapshot: ProxySnapshot, inbound: Inbound, connect: Connect, timers: Timers) -> None:
        self.breaker: Breaker = Breakers(_NO_LIMITS)
        self._connect = connect
        self._timers = timers
        self._inbound: Inbound | None = None
        self._host: Host | None = None
        self.follow(snapshot, inbound)

    def follow(self, snapshot: ProxySnapshot, inbound: Inbound) -> None:
        """Take up where the application is."""
        if inbound == self._inbound:
            return
        self._inbound = inbound
        if self._host is not None:
            self._host.pool.close()
        name = snapshot.service
        target = Target(
            "local_app",
            name,
            "",
            snapshot.datacenter,
            "",
            "1s",
            MeshGateway(),
            Subset(),
            TransparentProxy(),
            False,
            name,
            name,
        )
        endpoint = Endpoint(name, "", inbound.local_address or inbound.local_socket, inbound.local_port)
        host = self._host = Host(Cluster(target, ()), endpoint, 0.0)
        host.pool = HostPool(host, inbound.protocol, self._connect, self._timers, self.breaker)

    def pick(self, hash_key: int | None, exclude: Collection[Host]) -> Host | None:
        return self._host

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        pass
