"""In which order instances are named: drawn anew for every answer, heavier ones earlier.

Source: surface rows D23 (shuffled for every answer), D4 (weights); Efraimidis and Spirakis, "Weighted random sampling
with a reservoir", Information Processing Letters 97 (2006): sorting by `random() ** (1 / weight)` draws without
replacement in proportion to the weights. RFC 2782 leaves the draw to the client; clients that take the first answer,
and A and AAAA answers, which carry no weight, get it from us.

What may change here: how a draw is made, not its odds. A weight of 0 comes after all others.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["Order"]

#: Draws that met an instance already drawn before a draw turns to sorting all of them.
_MAX_MISSES = 32
_LEAST_WEIGHT = 1e-9


class Order:
    """Draws some of `total` positions; `weights` None means that all are alike."""

    __slots__ = ("_ends", "_exponents", "_total")

    def __init__(self, total: int, weights: Sequence[int] | None) -> None:
        self._total = total
        self._ends: list[float] | None = None
        self._exponents: list[float] = []
        if weights is not None:
            real = [max(float(weight), _LEAST_WEIGHT) for weight in weights]
            self._exponents = [1.0 / weight for weight in real]
            self._ends = list(accumulate(real))

    def draw(self, rng: random.Random, count: int) -> list[int]:
        """`count` positions in the order of the answer."""
        chance = rng.random
        total, ends = self._total, self._ends
        if count * 8 <= total or (ends is None and count <= 4):
            # Few of many: draw one by one, and again where one was drawn before.
            drawn: list[int] = []
            misses = 0
            while len(drawn) < count:
                if ends is None:
                    position = int(chance() * total)
                else:
                    position = min(bisect_right(ends, chance() * ends[-1]), total - 1)
                if position not in drawn:
                    drawn.append(position)
                else:
                    misses += 1
                    if misses > _MAX_MISSES:
                        break
            else:
                return drawn
        if ends is None:
            keys = [chance() for _ in range(total)]
        else:
            keys = [chance() ** exponent for exponent in self._exponents]
        positions = sorted(range(total), key=keys.__getitem__, reverse=True)
        return positions if count == total else positions[:count]
