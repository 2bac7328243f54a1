"""Federation states: what each datacenter says of its ways in, here of one datacenter only.

Source: surface row IN6. A leader writes the row of its datacenter once; the mesh gateways in it are read from the
catalog when somebody asks. What may change here: fields of the row may be added with a default.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.catalog import commands
from meshagent.catalog.federation_state import FederationState
from meshagent.catalog.watch import Watches

__all__ = ["FederationStates"]


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
        )
        self._watches.notify("federation-states")

    def load(self, rows: Iterable[FederationState]) -> None:
        """Fill the table from a snapshot."""
        self.rows.update((row.datacenter, row) for row in rows)

    @property
    def index(self) -> int:
        """Of the last change."""
        return max((row.modify_index for row in self.rows.values()), default=0)
