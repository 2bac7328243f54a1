"""From the rows of one key to moves that the search can make: what is plain without a search is settled here.

Values are unique, so a value and its ModifyIndex name one write, and each must name the other: a value that was never
written, that a refused write carried, or that has two indexes (written twice) is found at once. Writes whose indexes
were seen must come in that order. A write whose answer is unknown but whose value was seen has happened, before that
read returned. One that was never seen may happen at any later time or not at all; such writes differ only by what they
do, so the search counts them by that (`Loose`) and does not tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from meshtest.linearizability.history import Operation

MISSING = -1  # the value of a key that is not there
WILD = -2  # a value that no read has seen
NEVER = -3  # what a compare with an index of no known value looks for


class Refused(Exception):
    """These operations cannot all be true."""

    def __init__(self, reason: str, *operations: Operation) -> None:
        super().__init__(reason)
        self.reason = reason
        self.operations = operations


class Move(NamedTuple):
    """A step of the register: `value` is what is written or was seen, `expected` what a compare looks for."""

    kind: str
    value: int
    expected: int
    session: str
    ok: bool
    rank: int
    """Place among the writes whose index was seen; -1 for the others."""


class Loose(NamedTuple):
    """What a write of unknown outcome does; one class of interchangeable moves."""

    kind: str
    expected: int
    session: str


@dataclass(slots=True)
class Prepared:
    calls: list[tuple[float, float, Move, Operation]]
    """(invoked, returned, move, row)"""
    loose: list[tuple[float, Loose]]
    """(invoked, what it does)"""


def prepare(rows: Sequence[Operation]) -> Prepared:
    """`rows` are all of one key, `stale` reads too. Raises: Refused; ValueError when a value is written twice."""
    writers: dict[str, Operation] = {}
    for row in rows:
        if row.kind != "get" and row.value:
            if row.value in writers:
                raise ValueError(f"{row.value!r} is written twice: values must be unique")
            writers[row.value] = row
    reads = [row for row in rows if row.kind == "get" and row.returned is not None]
    index_of, first_seen = _observed(reads, writers)
    numbers = {value: number for number, value in enumerate(writers)}
    value_at = {index: numbers[value] for value, index in index_of.items()}
    ranks = {value: rank for rank, value in enumerate(sorted(index_of, key=index_of.__getitem__))}

    def expected(row: Operation) -> int:
        if row.kind not in ("cas", "delete-cas"):
            return NEVER
        return MISSING if row.index == 0 else value_at.get(row.index, NEVER)

    calls: list[tuple[float, float, Move, Operation]] = []
    loose: list[tuple[float, Loose]] = []
    for row in rows:
        if row.kind == "get":
            if row.returned is not None and row.mode != "stale":
                seen = row.seen
                value, session = (MISSING, "") if seen is None else (numbers[seen.value], seen.session)
                calls.append((row.invoked, row.returned, Move("get", value, NEVER, session, True, -1), row))
            continue
        returned, ok = row.returned, row.ok
        if row.value in first_seen:
            seen_at = first_seen[row.value]
            returned = seen_at if returned is None else min(returned, seen_at)
            ok = True
        if returned is None or ok is None:
            loose.append((row.invoked, Loose(row.kind, expected(row), row.session)))
            continue
        move = Move(row.kind, numbers.get(row.value, WILD), expected(row), row.session, ok, ranks.get(row.value, -1))
        calls.append((row.invoked, returned, move, row))
    return Prepared(calls, loose)


def _observed(reads: Sequence[Operation], writers: dict[str, Operation]) -> tuple[dict[str, int], dict[str, float]]:
    """(index of each value seen, when it was first seen)."""
    index_of: dict[str, int] = {}
    value_of: dict[int, str] = {}
    first: dict[str, float] = {}
    for read in reads:
        if read.seen is None:
            continue
        value, index, _ = read.seen
        writer = writers.get(value)
        if writer is None:
            raise Refused("a value that nobody wrote", read)
        if writer.ok is False:
            raise Refused("the value of a write that was refused", writer, read)
        if read.returned is not None and read.returned < writer.invoked:
            raise Refused("a value before it was written", read, writer)
        if index_of.setdefault(value, index) != index:
            raise Refused(f"one write, two indexes ({index_of[value]} and {index}): it was applied twice", writer, read)
        if value_of.setdefault(index, value) != value:
            raise Refused(f"two values under index {index}", writers[value_of[index]], writer, read)
        returned = read.returned if read.returned is not None else float("inf")
        first[value] = min(first.get(value, returned), returned)
    return index_of, first
