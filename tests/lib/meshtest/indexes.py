"""Do the Raft indexes of a replay rise as the recorded ones did?

Source: tests/data/golden/README.md, `<index:N>`: the same number is the same value, a higher number a higher value;
judged over the whole scenario by the largest consistent set. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from meshtest.placeholders import Seen


def out_of_order(seen: Sequence[Seen]) -> list[Seen]:
    """The sightings outside the largest consistent set: one value a number, strictly rising with the number.

    A heaviest strictly increasing chain over (number, value) pairs, each weighing as often as it was seen.
    """
    weights = Counter((one.number, one.value) for one in seen)
    pairs = sorted(weights, key=lambda pair: (pair[0], -pair[1]))  # falling values: two of one number never chain
    ranks = sorted({value for _, value in pairs})
    best = _PrefixMax(len(ranks))
    weight_of: dict[tuple[int, int], int] = {}
    before: dict[tuple[int, int], tuple[int, int] | None] = {}
    for pair in pairs:
        rank = bisect_left(ranks, pair[1])
        total, previous = best.below(rank)
        weight_of[pair] = total + weights[pair]
        before[pair] = previous
        best.put(rank, weight_of[pair], pair)
    kept: set[tuple[int, int]] = set()
    at = max(weight_of, key=lambda pair: weight_of[pair], default=None)
    while at is not None:
        kept.add(at)
        at = before[at]
    return [one for one in seen if (one.number, one.value) not in kept]


class _PrefixMax:
    """A Fenwick tree of the heaviest chain that ends below a rank."""

    def __init__(self, size: int) -> None:
        self._nodes: list[tuple[int, tuple[int, int] | None]] = [(0, None)] * (size + 1)

    def below(self, rank: int) -> tuple[int, tuple[int, int] | None]:
        best: tuple[int, tuple[int, int] | None] = (0, None)
        while rank > 0:
            if self._nodes[rank][0] > best[0]:
                best = self._nodes[rank]
            rank -= rank & -rank
        return best

    def put(self, rank: int, weight: int, pair: tuple[int, int]) -> None:
        at = rank + 1
        while at < len(self._nodes):
            if weight > self._nodes[at][0]:
                self._nodes[at] = (weight, pair)
            at += at & -at
