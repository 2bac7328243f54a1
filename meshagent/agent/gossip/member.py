"""A member as serf, the HTTP API and the catalog's reconcile see it: its name, address, tags and state.

Source: surface row A3 (the JSON names), section 9.3. What may change here: states are append-only.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

__all__ = ["Member", "Status"]


class Status(IntEnum):
    """serf's states of a member, append-only."""

    NONE = 0
    ALIVE = 1
    LEAVING = 2
    LEFT = 3
    FAILED = 4


class Member(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One member of a pool; `tags` are shared between members and not to be changed."""

    name: str
    addr: str
    port: int
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    status: int = Status.ALIVE.value
    protocol_min: int = 1
    protocol_max: int = 5
    protocol_cur: int = 2
    delegate_min: int = 2
    delegate_max: int = 5
    delegate_cur: int = 4
