"""Lifeguard's local health: how far we should trust our own view of others.

Source: Lifeguard paper, section IV.A; surface row S23; golden README section 9. 0 is well; each sign that we are the
slow one adds, each acked probe takes one away. Intervals of probing are multiplied by score + 1.
"""

from __future__ import annotations

__all__ = ["Awareness"]


class Awareness:
    """A score within 0 and `maximum` - 1."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self.score = 0

    def apply(self, delta: int) -> None:
        self.score = max(0, min(self._maximum - 1, self.score + delta))

    def scale(self, duration_s: float) -> float:
        return duration_s * (self.score + 1)
