"""Introductions that were used (`auto_config` with `allow_reuse = false`): each opens the door to one node only.

The node that came first keeps it and may ask again, after a lost disk say. A row goes when its introduction has ended:
then nobody believes it anyway. Source: surface row G16; ours, for Consul takes every introduction until it ends.
Deterministic: the time is in the command. What may change here: fields of the row may be added with a default.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshagent.catalog import commands

__all__ = ["Introductions", "UsedIntroduction"]


class UsedIntroduction(msgspec.Struct, frozen=True, array_like=True):
    """`digest` is the SHA-256 of what was signed, `ends` the second of Unix time from which it need not be known."""

    digest: bytes
    node: str
    ends: int


class Introductions:
    """Rows by digest."""

    def __init__(self) -> None:
        self.rows: dict[bytes, UsedIntroduction] = {}

    def take(self, command: commands.IntroductionTake) -> str:
        """The name of the node that the introduction is for from now on; those that have ended are forgotten."""
        for digest in [digest for digest, row in self.rows.items() if row.ends <= command.now]:
            del self.rows[digest]
        row = self.rows.setdefault(command.digest, UsedIntroduction(command.digest, command.node, command.ends))
        return row.node

    def load(self, rows: Iterable[UsedIntroduction]) -> None:
        """Fill the table from a snapshot."""
        self.rows.update((row.digest, row) for row in rows)
