"""`sameness-group`: Enterprise's; reading it is allowed, writing it is refused.

Source: surface row M37. What may change here: nothing, as long as it is Enterprise's.
"""

from __future__ import annotations

from typing import Any

from meshagent.catalog.entries.entry import Entry

__all__ = ["SamenessGroup"]


class SamenessGroup(Entry, frozen=True, kw_only=True, tag="sameness-group"):
    """Never stored."""

    default_for_failover: bool = False
    include_local: bool = False
    members: tuple[dict[str, Any], ...] = ()

    def problem(self) -> str:
        return "sameness-groups are an enterprise-only feature"
