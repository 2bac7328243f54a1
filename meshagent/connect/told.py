"""What snapshots are made of beside entries and the instances of the mesh: read from the store, or told by a server.

Source: surface rows M9, X17, X18. What may change here: another fact is a method, here and in `agent/mesh_replica.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from meshagent.catalog import queries
from meshagent.catalog.gateway_services import GatewayService, behind
from meshagent.catalog.mesh_gateways import mesh_gateways
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic

__all__ = ["FromStore", "Told"]

Topics = tuple[Topic, ...]


class Told(Protocol):
    """Each gives a value, and the topics of its change."""

    def plain(self, service: str) -> tuple[Iterable[ServiceEntry], Topics]:
        """The instances of a service themselves."""

    def behind(self, gateway: str) -> tuple[Iterable[GatewayService], Topics]:
        """The services behind a terminating gateway."""

    def gateways(self, datacenter: str) -> tuple[Iterable[ServiceEntry], Topics]:
        """The mesh gateways of a datacenter; `federation.OTHERS` for those of all others."""


class FromStore:
    """From the catalog itself."""

    def __init__(self, store: Store, datacenter: str) -> None:
        self._store = store
        self._datacenter = datacenter

    def plain(self, service: str) -> tuple[Iterable[ServiceEntry], Topics]:
        """As `Told.plain`."""
        found = queries.health_service(self._store, service)
        return found.rows, (("service-health", service.lower()),)

    def behind(self, gateway: str) -> tuple[Iterable[GatewayService], Topics]:
        """As `Told.behind`."""
        return behind(self._store, gateway)

    def gateways(self, datacenter: str) -> tuple[Iterable[ServiceEntry], Topics]:
        """As `Told.gateways`."""
        return mesh_gateways(self._store, datacenter, self._datacenter)
