"""How long to wait before trying again: doubling, cut by chance, begun anew after something lasted.

Source: Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). What may be changed: nothing; the
numbers are in `settings.py`.
"""

from __future__ import annotations

import random

__all__ = ["Backoff"]

#: A connection that stood this many times the pause was a success; one that ends sooner is a failure that took longer.
LASTED = 2


class Backoff:
    """Pauses from `first_s` to `longest_s`, each cut by up to half."""

    def __init__(self, first_s: float, longest_s: float, rng: random.Random) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._rng = rng
        self._next_s = first_s

    def pause(self) -> float:
        """Seconds until the next attempt."""
        pause_s = self._next_s
        self._next_s = min(self._longest_s, pause_s * 2)
        return pause_s * (1 - self._rng.random() / 2)

    def lasted(self, seconds: float) -> None:
        """What was tried worked for so long."""
        if seconds >= LASTED * self._next_s:
            self._next_s = self._first_s
