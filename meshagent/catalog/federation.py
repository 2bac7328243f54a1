"""Federation states: what each datacenter says of its ways in.

Source: surface row IN6. A leader writes the row of its datacenter once, whose mesh gateways are read from the catalog
when somebody asks, and those of the others whenever their mesh gateways change (`agent/federation.py`). What may change
here: fields of the row may be added with a default.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.catalog import commands
from meshagent.catalog.federation_state import FederationState
from meshagent.catalog.watch import Watches

__all__ = ["OTHERS", "FederationStates"]

#: Stands for all other datacenters.
OTHERS = "*"


class FederationStates:
    """Rows by datacenter."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.rows: dict[str, FederationState] = {}

    def set(self, command: commands.FederationStateSet, index: int) -> None:
        """Write the row of a datacenter."""
        old = self.rows.get(command.datacenter)
        self.rows[command.datacenter] = FederationState(
            datacenter=command.datacenter,
            updated_at=command.updated_at,
            primary_modify_index=index,
            create_index=index if old is None else old.create_index,
            modify_index=index,
            mesh_gateways=command.mesh_gateways,
        )
        self._watches.notify("federation-states")
        self._watches.notify(("federation-state", command.datacenter))
        self._watches.notify(("federation-state", OTHERS))

    def load(self, rows: Iterable[FederationState]) -> None:
        """Fill the table from a snapshot."""
        self.rows.update((row.datacenter, row) for row in rows)

    @property
    def index(self) -> int:
        """Of the last change."""
        return max((row.modify_index for row in self.rows.values()), default=0)
