"""The mesh gateways of a datacenter, with their checks: the ways into it.

Those of this datacenter are in the catalog, those of others in the federation states. Pure.

Source: surface rows M9, IN6; developer.hashicorp.com/consul/docs/connect/gateways/mesh-gateway. What may change here:
nothing but what a gateway is known by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.catalog.federation import OTHERS
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.watch import Topic

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = ["KIND", "mesh_gateways"]

KIND = "mesh-gateway"


def mesh_gateways(store: Store, datacenter: str, own: str) -> tuple[tuple[ServiceEntry, ...], tuple[Topic, ...]]:
    """(gateways of `datacenter` by node and id, topics of their change); `own` is the datacenter of the store, `OTHERS`
    stands for all but that."""
    if datacenter != own:
        states = store.federation.rows
        names = sorted(states) if datacenter == OTHERS else [datacenter]
        found = [one for name in names if name != own and name in states for one in states[name].mesh_gateways]
        return tuple(found), (("federation-state", datacenter),)
    services = sorted({row.name.lower() for row in store.registrations.services.values() if row.kind == KIND})
    rows = [entry for name in services for entry in store.registrations.entries(name) if entry.service.kind == KIND]
    rows.sort(key=lambda entry: (entry.node.name.lower(), entry.service.id.lower()))
    topics: list[Topic] = [("service-health", name) for name in services]
    return tuple(rows), (("service-kind", KIND), *topics)
