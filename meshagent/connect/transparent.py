"""Transparent mode: everything that a service sends comes to its sidecar, which finds out where it was meant for. Pure.

The upstreams of such a sidecar are the mesh services that its service may talk to, by intentions or by default; each is
known by its virtual addresses. Where intentions decide by request (`Permissions`), it may be talked to.

Source: surface rows M5, M10, M29, X9; developer.hashicorp.com/consul/docs/connect/proxy/transparent-proxy. What may
change here: fields are added with a default.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

import msgspec

from meshagent.catalog.entries.mesh import Mesh
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.mesh_services import MeshService
from meshagent.catalog.model import Service, ServiceEntry
from meshagent.connect.intentions import Default, matching, may_reach
from meshagent.connect.redirect import OUTBOUND_PORT

__all__ = ["MODE", "Transparent", "addresses_of", "canonical", "reachable", "transparent_of"]

MODE = "transparent"
#: Under which an orchestrator keeps the address that it gave a service itself.
_VIRTUAL = "virtual"


class Transparent(msgspec.Struct, frozen=True):
    """Where what leaves comes in, and whether it may leave the mesh."""

    port: int = OUTBOUND_PORT
    mesh_only: bool = False


def transparent_of(service: Service, mesh: Mesh | None) -> Transparent | None:
    """What a registration (with central configuration in it) and the `mesh` entry say; None: it is not transparent."""
    if service.proxy.mode != MODE:
        return None
    block = service.proxy.transparent_proxy
    port = block.outbound_listener_port if block is not None else 0
    return Transparent(
        port if 0 < port < 65536 else OUTBOUND_PORT,
        mesh is not None and mesh.transparent_proxy.mesh_destinations_only,
    )


def reachable(
    services: Iterable[MeshService],
    get: Callable[[str], ServiceIntentions | None],
    source: str,
    default: Default,
) -> tuple[MeshService, ...]:
    """The services that `source` may talk to, itself among them; `get` finds the intentions of a destination."""
    return tuple(one for one in services if may_reach(matching(get, one.name), source, one.name, default))


def addresses_of(service: MeshService, instances: Iterable[ServiceEntry]) -> tuple[str, ...]:
    """The addresses that mean a service and none of its instances, each once, in canonical form."""
    tables = [entry.service.tagged_addresses or {} for entry in instances]
    tagged = [table[_VIRTUAL].address for table in tables if _VIRTUAL in table]
    return tuple(dict.fromkeys(filter(None, map(canonical, (*service.addresses, *tagged)))))


def canonical(address: str) -> str:
    """One spelling for each IP address; "" for what is none."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""
