"""What a transaction gives: the rows of its operations, or why it was refused; as data that says what it is.

Source: surface rows TX1-TX3. An outcome travels between servers and stands in snapshots as msgpack, so each row is
under the name of its kind. What may change here: kinds of rows may be added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from meshagent.catalog.model import Check, KVEntry, Node, Service
from meshagent.errors import CorruptData

__all__ = ["Failure", "Outcome", "TxnResult", "TxnRow", "result_of"]

TxnRow = KVEntry | Node | Service | Check


class TxnResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row that an operation gives; one of the fields is set."""

    kv: KVEntry | None = None
    node: Node | None = None
    service: Service | None = None
    check: Check | None = None

    @property
    def row(self) -> TxnRow:
        """The row itself. Raises CorruptData."""
        row = self.kv or self.node or self.service or self.check
        if row is None:
            raise CorruptData("a result of a transaction without a row")
        return row


class Failure(msgspec.Struct, frozen=True):
    """Why the operation at a place (from 0) was refused."""

    op_index: int
    what: str


class Outcome(msgspec.Struct, frozen=True):
    """The rows that the operations give, in order; none when something failed."""

    results: tuple[TxnResult, ...] = ()
    failures: tuple[Failure, ...] = ()


_KINDS: dict[type, Callable[[Any], TxnResult]] = {
    KVEntry: lambda row: TxnResult(kv=row),
    Node: lambda row: TxnResult(node=row),
    Service: lambda row: TxnResult(service=row),
    Check: lambda row: TxnResult(check=row),
}


def result_of(row: TxnRow) -> TxnResult:
    """The row under the name of its kind."""
    return _KINDS[type(row)](row)
