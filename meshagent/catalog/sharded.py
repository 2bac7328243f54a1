"""A dictionary in many small ones, so that no growth of it holds the loop.

Source: CPython's `Objects/dictobject.c`: a dict that is full is built anew at one stretch, for a million rows in 40 to
120 ms. Here each of the parts grows by itself, in a fraction of a millisecond, and can be let go of by itself.

What may be changed: `SHARDS`, with `tests/catalog/raft/stalls.py` as the judge. It stays a prime: a dict looks at the
low bits of a hash, so keys that were told apart by these would meet in each other's way inside of their part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from itertools import chain
from typing import Any, TypeVar

__all__ = ["SHARDS", "ShardedDict"]

#: A look-up costs 0.1 us more than in a dict, whatever the number. A part of a million rows has 4,000: 0.1 ms to grow.
SHARDS = 251

K = TypeVar("K")
V = TypeVar("V")


class ShardedDict(MutableMapping[K, V]):
    """As a dict, but in no order that means anything."""

    __slots__ = ("_shards",)

    def __init__(self, rows: Iterable[tuple[K, V]] = ()) -> None:
        self._shards: list[dict[K, V]] = [{} for _ in range(SHARDS)]
        for key, value in rows:
            self[key] = value

    def __getitem__(self, key: K) -> V:
        return self._shards[hash(key) % SHARDS][key]

    def get(self, key: K, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self._shards[hash(key) % SHARDS].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._shards[hash(key) % SHARDS]

    def __setitem__(self, key: K, value: V) -> None:
        self._shards[hash(key) % SHARDS][key] = value

    def __delitem__(self, key: K) -> None:
        del self._shards[hash(key) % SHARDS][key]

    def pop(self, key: K, *default: Any) -> Any:
        """Take the row of `key` out. Raises KeyError when it is not there and no default was given."""
        return self._shards[hash(key) % SHARDS].pop(key, *default)

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self._shards)

    def each_value(self) -> Iterator[V]:
        """All values, in no order: as quick as those of a dict."""
        return chain.from_iterable(map(dict.values, self._shards))

    def each_item(self) -> Iterator[tuple[K, V]]:
        """All pairs, likewise."""
        return chain.from_iterable(map(dict.items, self._shards))

    def let_go(self) -> Iterator[None]:
        """Drop all rows, some thousands of a million at each step."""
        for shard in self._shards:
            if shard:
                shard.clear()
                yield
