"""Connections over which nothing has passed for too long. Pure.

Looked at now and then, so that a byte that passes costs nothing: who shows the same count of bytes at looks that are
the limit apart is idle; it ends up to one look late and never early.

Source: Envoy's TCP proxy (`idle_timeout`, an hour). What may change here: how often it is looked (`step_s`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

__all__ = ["IdleWatch", "step_s"]

T = TypeVar("T", bound=Hashable)

#: Between two looks, in seconds, at most and at least.
_LONGEST_S, _SHORTEST_S = 60.0, 0.05


class IdleWatch(Generic[T]):
    """What was seen of each connection of one listener."""

    def __init__(self) -> None:
        self._seen: dict[T, tuple[int, float]] = {}

    def look(self, now: Iterable[tuple[T, int]], at: float, limit_s: float) -> list[T]:
        """Given (connection, bytes that have passed) and the monotonic second: those that are idle. 0: no limit."""
        if not limit_s:
            self._seen.clear()
            return []
        seen: dict[T, tuple[int, float]] = {}
        idle: list[T] = []
        for one, count in now:
            before = self._seen.get(one)
            seen[one] = before if before is not None and before[0] == count else (count, at)
            if at - seen[one][1] >= limit_s:
                idle.append(one)
        self._seen = seen
        return idle


def step_s(limits_s: Iterable[float]) -> float:
    """How long to wait between two looks; `limits_s` are those in force, 0 for none."""
    shortest = min((limit for limit in limits_s if limit), default=4 * _LONGEST_S)
    return min(_LONGEST_S, max(_SHORTEST_S, shortest / 4))
