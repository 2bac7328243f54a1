"""What a connection that was meant for some address is, to a sidecar in transparent mode. Pure.

An address that means a service leads into its chain, whatever the port; that of a service outside the mesh, which a
terminating gateway reaches, at its port (its host names are for Envoys, which look into TLS). That of an instance that
may be dialled directly leads to that instance, at its application's port. All else leaves the mesh, unless it may not:
addresses that are given to services alone are nobody else's, so one that is not known leads nowhere.

Source: surface rows M5, M10, M29, X9; RFC 1112 section 4 (240.0.0.0/4 is reserved). What may change here: further kinds
of destinations.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from meshagent.connect.proxy.cluster.host import HostKey, key_of
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.connect.transparent import canonical

__all__ = ["Destinations", "Instance", "Nowhere", "Outside", "Service", "Where"]

#: Where virtual addresses come from.
_VIRTUAL = ipaddress.IPv4Network("240.0.0.0/4")


@dataclass(frozen=True, slots=True)
class Service:
    """An upstream, by its key."""

    key: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of an upstream, whose name is `service`."""

    key: str
    service: str
    host: HostKey


@dataclass(frozen=True, slots=True)
class Outside:
    """Not of the mesh: it is dialled as the application dialled it."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Refused, and why."""

    reason: str


Where = Service | Instance | Outside | Nowhere


class Destinations:
    """Those of one snapshot."""

    def __init__(self, snapshot: ProxySnapshot) -> None:
        self._mesh_only = snapshot.transparent is not None and snapshot.transparent.mesh_only
        self._services = {address: Service(one.key) for one in snapshot.outbound for address in one.virtual_ips}
        self._outside = {
            (address, port): Service(one.key)
            for one in snapshot.outbound
            for name, port in one.outside
            if (address := canonical(name))
        }
        self._instances: dict[tuple[str, int], Instance] = {}
        for place, instance in _dialled_directly(snapshot):
            self._instances.setdefault(place, instance)

    def of(self, address: str, port: int) -> Where:
        """What a canonical address and a port lead to."""
        service = self._services.get(address) or self._outside.get((address, port))
        if service is not None:
            return service
        instance = self._instances.get((address, port))
        if instance is not None:
            return instance
        if self._mesh_only:
            return Nowhere("it is not of the mesh, and the mesh entry lets nothing leave it")
        place = ipaddress.ip_address(address)
        if isinstance(place, ipaddress.IPv4Address) and place in _VIRTUAL:
            return Nowhere("no service that may be reached from here has this virtual address")
        return Outside()


def _dialled_directly(snapshot: ProxySnapshot) -> Iterator[tuple[tuple[str, int], Instance]]:
    for outbound in snapshot.outbound:
        targets = outbound.chain.targets if outbound.chain is not None else ()
        for row in filter(None, map(snapshot.clusters.get, targets)):
            for endpoint in row.endpoints:
                address = canonical(endpoint.address) if endpoint.direct_port else ""
                if address:
                    yield (address, endpoint.direct_port), Instance(outbound.key, outbound.name, key_of(row, endpoint))
