"""The services that a proxy in transparent mode may have to find by an address: who has a virtual one.

Source: surface rows M5, M10. Pure. What may be changed: `MeshService` is on the wire between agents: fields are added
at its end, with a default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = ["TOPIC", "MeshService", "mesh_services"]

#: Fires when a service gets or loses a virtual address, or mesh access.
TOPIC = "mesh-services"


class MeshService(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """A service as its proxies spell it, with its virtual addresses: the one it was given, then manual ones."""

    name: str
    addresses: tuple[str, ...]


def mesh_services(store: Store) -> tuple[MeshService, ...]:
    """All of them, by name."""
    registrations = store.registrations
    addresses = registrations.virtual_ips
    found = []
    for lower in sorted(addresses.offsets):
        _, manual = addresses.manual.get(lower, ("", ()))
        given = addresses.get(lower)
        found.append(MeshService(registrations.mesh_name(lower), (*([given] if given else ()), *manual)))
    return tuple(found)
