"""The table of the autopilot configuration: at most one row, with compare-and-set.

Source: surface row OP4. What may change here: nothing that has to do with the content of the row.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshagent.catalog import commands
from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.watch import Watches

__all__ = ["AutopilotTable"]


class AutopilotTable:
    """`config` is None until a leader has written the first one."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.config: AutopilotConfig | None = None

    def set(self, command: commands.AutopilotSet, index: int) -> bool:
        """Write it; with `cas` only over the row with that ModifyIndex (0: if there is none)."""
        old = self.config
        if command.cas is not None and command.cas != (0 if old is None else old.modify_index):
            return False
        created = index if old is None else old.create_index
        self.config = msgspec.structs.replace(command.config, create_index=created, modify_index=index)
        self._watches.notify("autopilot")
        return True

    @property
    def rows(self) -> list[AutopilotConfig]:
        """For a snapshot."""
        return [] if self.config is None else [self.config]

    def load(self, rows: Iterable[AutopilotConfig]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self.config = row
