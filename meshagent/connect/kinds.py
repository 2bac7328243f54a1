"""The kinds of proxies: what each puts into its snapshot, and which entries that takes. One row each.

Source: surface rows M1, M2, M27, M31, M62. Pure. What may change here: another kind is a module of `gateways/` with a
`fill`, a tagged struct in `snapshot.Gateway`, and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.model import Service
from meshagent.connect.gateways import api, ingress, mesh, terminating
from meshagent.connect.gateways.filling import Filling
from meshagent.connect.gateways.names import leaf_names
from meshagent.connect.intentions import Default
from meshagent.connect.transparent import MODE

if TYPE_CHECKING:
    from meshagent.connect.parts import SnapshotParts

__all__ = ["KINDS", "Kind", "entry_kinds", "identity_of"]


def _transparent(service: Service) -> bool:
    return service.proxy.mode == MODE


@dataclass(frozen=True, slots=True)
class Kind:
    """`fill` makes what is its own. `entries` are kinds of config entries that it reads beside those of sidecars,
    `services` whether it has to know the services of the mesh, `leaf_names` the DNS names of its leaf: (entries, name,
    datacenter, domain), `speaks_for` the other services whose leafs it shows."""

    name: str
    fill: Callable[[SnapshotParts, Service, Default], Filling]
    entries: tuple[str, ...] = ()
    services: Callable[[Service], bool] = lambda _: False
    leaf_names: Callable[[Lookup, str, str, str], tuple[str, ...]] = lambda *_: ()
    speaks_for: Callable[[SnapshotParts, str], tuple[str, ...]] = lambda *_: ()


KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        Kind("connect-proxy", lambda parts, *rest: parts.sidecar(*rest), services=_transparent),
        Kind(
            "ingress-gateway",
            ingress.fill,
            entries=("ingress-gateway",),
            services=lambda _: True,
            leaf_names=leaf_names,
        ),
        Kind(
            "api-gateway",
            api.fill,
            entries=(
                "api-gateway",
                "bound-api-gateway",
                "file-system-certificate",
                "http-route",
                "inline-certificate",
                "tcp-route",
            ),
        ),
        Kind("mesh-gateway", mesh.fill, services=lambda _: True),
        Kind(
            "terminating-gateway",
            terminating.fill,
            entries=("terminating-gateway",),
            speaks_for=terminating.services_behind,
        ),
    )
}


def entry_kinds(kind: str) -> tuple[str, ...]:
    """The kinds of config entries that a proxy of this kind reads beside those of sidecars."""
    row = KINDS.get(kind)
    return row.entries if row is not None else ()


def identity_of(service: Service) -> str:
    """The service that a proxy stands for, whose leaf it shows: a gateway stands for itself."""
    return service.proxy.destination_service_name or service.name
