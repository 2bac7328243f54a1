"""A sorted table read as it was at one moment, a little at a time, while it goes on changing.

Source: copy-on-write, as fork gives it to Redis, for one table: to copy a million references at once holds the loop for
16 ms on an idle machine and 50 ms on a busy one. Here beginning costs nothing: the table is walked in the order of its
keys, and whoever changes a row that the walk has not reached puts the old one aside first.

What may be changed: `Copies.before` runs before every change while a copy is under way; keep it to a look-up.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import islice
from typing import Any

from meshagent.catalog.sorted_table import SortedTable

__all__ = ["Copies", "Copy"]

_ABSENT = object()


class Copy:
    """What `table` held when this was made. `row(key, value)` is what `take` gives for each."""

    def __init__(self, table: SortedTable[Any], row: Callable[[str, Any], Any]) -> None:
        self._table = table
        self._row = row
        self._walked = False
        self._last: str | None = None  # the walk came to this key
        self._aside: dict[str, Any] = {}  # rows that changed before the walk came to them

    def before(self, key: str) -> None:
        """The row of `key` is about to change, appear or go."""
        if not self._walked and (self._last is None or key > self._last) and key not in self._aside:
            self._aside[key] = self._table.get(key, _ABSENT)

    def take(self, count: int) -> list[Any]:
        """About `count` more rows, each once and in no order that matters; none when all were taken."""
        rows: list[Any] = []
        table, aside, row = self._table, self._aside, self._row
        while not self._walked and not rows:
            walk = iter(table) if self._last is None else table.between(self._last, after=True)
            keys = list(islice(walk, count))
            if len(keys) < count:
                self._walked = True
            if keys:
                self._last = keys[-1]
            if aside:
                values = [aside.pop(key) if key in aside else table[key] for key in keys]
                rows = [row(key, value) for key, value in zip(keys, values, strict=True) if value is not _ABSENT]
            else:
                rows = list(map(row, keys, map(table.__getitem__, keys)))
        while aside and len(rows) < count and self._walked:  # keys that are gone from the table
            key, value = aside.popitem()
            if value is not _ABSENT:
                rows.append(row(key, value))
        return rows


class Copies:
    """The copies of one table that are under way; each is forgotten when nobody holds it any more."""

    def __init__(self, table: SortedTable[Any]) -> None:
        self._table = table
        self.under_way: list[weakref.ref[Copy]] = []

    def begin(self, row: Callable[[str, Any], Any]) -> Copy:
        copy = Copy(self._table, row)
        self.under_way.append(weakref.ref(copy, self.under_way.remove))
        return copy

    def before(self, key: str) -> None:
        """Call this before the row of `key` changes, appears or goes."""
        for reference in tuple(self.under_way):  # one may be forgotten on the way
            copy = reference()
            if copy is not None:
                copy.before(key)
