"""Many different strings in order, changed one at a time, without ever moving many of them.

Source: the shape of `sortedcontainers.SortedList`: a list of short sorted lists, found by bisection of their last ones.
It is not used itself because it offers no cheap way to be filled in order (a state that is read from a snapshot comes
in order) nor to be let go of in parts.

What may be changed: `LOAD`, with `tests/catalog/raft/stalls.py` as the judge.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import chain

__all__ = ["LOAD", "SortedKeys"]

#: A list of more than twice as many is cut in halves, one of less than a quarter joins its neighbour.
LOAD = 1000


class SortedKeys:
    """Who adds or removes knows whether the key is there: this does not look."""

    __slots__ = ("_lasts", "_lists", "_size")

    def __init__(self, keys: Iterable[str] = ()) -> None:
        ordered = sorted(keys)
        self._size = len(ordered)
        self._lists = [ordered[at : at + LOAD] for at in range(0, len(ordered), LOAD)]
        self._lasts = [keys[-1] for keys in self._lists]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._lists)

    def add(self, key: str) -> None:
        """Put a key that is not there in its place: 1 us among a million."""
        lasts, lists = self._lasts, self._lists
        self._size += 1
        if not lasts or key > lasts[-1]:
            self._append(key)
            return
        at = bisect_left(lasts, key)
        keys = lists[at]
        insort(keys, key)
        if len(keys) > 2 * LOAD:
            self._halve(at)

    def extend(self, keys: list[str]) -> None:
        """Put different keys that are not there in their places; quick when they come in order, behind the others."""
        if not keys:
            return
        lists, lasts = self._lists, self._lasts
        if (lasts and keys[0] < lasts[-1]) or sorted(keys) != keys:
            for key in keys:
                self.add(key)
            return
        self._size += len(keys)
        begin = 0
        if lists and len(lists[-1]) < LOAD:
            begin = LOAD - len(lists[-1])
            lists[-1] += keys[:begin]
            lasts[-1] = lists[-1][-1]
        for at in range(begin, len(keys), LOAD):
            lists.append(keys[at : at + LOAD])
            lasts.append(lists[-1][-1])

    def _append(self, key: str) -> None:
        if self._lists and len(self._lists[-1]) < LOAD:
            self._lists[-1].append(key)
            self._lasts[-1] = key
        else:
            self._lists.append([key])
            self._lasts.append(key)

    def remove(self, key: str) -> None:
        """Take a key that is there away."""
        lasts, lists = self._lasts, self._lists
        at = bisect_left(lasts, key)
        keys = lists[at]
        del keys[bisect_left(keys, key)]
        self._size -= 1
        if len(keys) < LOAD // 4 and len(lists) > 1:
            at = at or 1  # joins the one before it; the first takes the second in
            lists[at - 1] += lists[at]
            del lists[at], lasts[at]
            lasts[at - 1] = lists[at - 1][-1]
            if len(lists[at - 1]) > 2 * LOAD:
                self._halve(at - 1)
        elif keys:
            lasts[at] = keys[-1]
        else:
            del lists[at], lasts[at]

    def _halve(self, at: int) -> None:
        keys = self._lists[at]
        self._lists.insert(at, keys[:LOAD])
        self._lasts.insert(at, keys[LOAD - 1])
        del keys[:LOAD]

    def between(self, first: str, last: str | None = None, *, after: bool = False) -> Iterator[str]:
        """From `first` (`after`: the one behind it) to `last`, which belongs to them; without it to the end."""
        return chain.from_iterable(self._pieces(first, last, after))

    def _pieces(self, first: str, last: str | None, after: bool) -> Iterator[list[str]]:
        lists, lasts = self._lists, self._lasts
        at = bisect_left(lasts, first)
        if at == len(lists):
            return
        begin = (bisect_right if after else bisect_left)(lists[at], first)
        while at < len(lists):
            keys = lists[at]
            if last is not None and lasts[at] >= last:
                yield keys[begin : bisect_right(keys, last)]
                return
            yield keys[begin:] if begin else keys
            begin = 0
            at += 1

    def let_go(self) -> Iterator[None]:
        """Drop all keys, some thousands at each step."""
        self._lasts = []
        self._size = 0
        while self._lists:
            self._lists.pop()
            yield
