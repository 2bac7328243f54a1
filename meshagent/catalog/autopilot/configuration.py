"""The autopilot configuration: one replicated row.

Source: surface rows OP4, G21; developer.hashicorp.com/consul/api-docs/operator/autopilot. The names of Enterprise
options are kept and shown, and do nothing. What may change here: fields may be added at the end with a default (the row
lives in logs and snapshots).
"""

from __future__ import annotations

from meshagent.catalog.model import Row, always

__all__ = ["AutopilotConfig"]

_MS = 1_000_000


class AutopilotConfig(Row, frozen=True, kw_only=True):
    """Durations are whole nanoseconds. `min_quorum` 0 sets no lower bound."""

    cleanup_dead_servers: bool = always(True)
    last_contact_threshold: int = always(200 * _MS)
    max_trailing_logs: int = always(250)
    min_quorum: int = always(0)
    server_stabilization_time: int = always(10_000 * _MS)
    redundancy_zone_tag: str = always("")
    disable_upgrade_migration: bool = always(False)
    upgrade_version_tag: str = always("")
    create_index: int = always(0)
    modify_index: int = always(0)
