"""Rows under strings, found at once and read in the order of the keys; a million of them never hold the loop.

Source: `sortedcontainers.SortedDict` is this with one dict and a sorted list; its growth holds the loop (`sharded.py`).

What may be changed: `get` and `[]` run for every read and write of a key, and are those of `ShardedDict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from meshagent.catalog.sharded import SHARDS, ShardedDict
from meshagent.catalog.sorted_keys import SortedKeys

__all__ = ["SortedTable"]

V = TypeVar("V")


class SortedTable(ShardedDict[str, V]):
    """Iterates in byte order of the keys' UTF-8."""

    __slots__ = ("_order",)

    def __init__(self, rows: Iterable[tuple[str, V]] = ()) -> None:
        self._order = SortedKeys()
        super().__init__(rows)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[str]:
        return iter(self._order)

    def __setitem__(self, key: str, value: V) -> None:
        shard = self._shards[hash(key) % SHARDS]
        if key not in shard:
            self._order.add(key)
        shard[key] = value

    def extend(self, rows: dict[str, V]) -> None:
        """As setting them one after the other; quicker when they come in order, behind what is there."""
        shards = self._shards
        self._order.extend([key for key in rows if key not in shards[hash(key) % SHARDS]])
        for key, value in rows.items():
            shards[hash(key) % SHARDS][key] = value

    def __delitem__(self, key: str) -> None:
        del self._shards[hash(key) % SHARDS][key]
        self._order.remove(key)

    def pop(self, key: str, *default: Any) -> Any:
        shard = self._shards[hash(key) % SHARDS]
        if key in shard:
            self._order.remove(key)
        return shard.pop(key, *default)

    def between(self, first: str, last: str | None = None, *, after: bool = False) -> Iterator[str]:
        """The keys from `first` (`after`: behind it) to `last`, which belongs to them; without it to the end."""
        return self._order.between(first, last, after=after)

    def let_go(self) -> Iterator[None]:
        yield from super().let_go()
        yield from self._order.let_go()
