"""The row of a datacenter among the federation states (surface row IN6).

What may change here: fields may be added at the end with a default.
"""

from __future__ import annotations

from meshagent.catalog.model import Row, ServiceEntry, always

__all__ = ["FederationState"]


class FederationState(Row, frozen=True, kw_only=True):
    """`updated_at` is RFC 3339. `mesh_gateways` are those of another datacenter; the own ones are in the catalog."""

    datacenter: str = always("")
    updated_at: str = always("")
    primary_modify_index: int = always(0)
    create_index: int = always(0)
    modify_index: int = always(0)
    mesh_gateways: tuple[ServiceEntry, ...] = ()
