"""Network coordinates: from round-trip times between members to positions whose distance predicts them.

Source: Dabek et al., "Vivaldi: A Decentralized Network Coordinate System" (SIGCOMM 2004) for the spring model and the
height; Ledlie et al., "Network Coordinates in the Wild" (NSDI 2007) for the latency filter and gravity; Lee et al., "On
Suitability of Euclidean Embedding for Host-based Network Coordinate Systems" (ToN 2010) for the adjustment. Parameters
and order of steps are serf's (surface row S51), since coordinates are compared across implementations.

What may change here: nothing that changes a number. Times are in seconds.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

from meshagent.catalog.coordinates import distance_s
from meshagent.catalog.model import Coordinate
from meshagent.errors import RemoteProtocolError

__all__ = ["DIMENSIONS", "MAX_RTT_S", "Vivaldi", "VivaldiSettings", "is_usable"]

#: Every member of a pool has the same; other coordinates are refused.
DIMENSIONS = 8
#: A round trip longer than this is a clock gone wrong, not a network.
MAX_RTT_S = 10.0
#: What is shorter than this has no direction, and divides nothing.
_ZERO_S = 1e-6
#: Distances are compared with Go's durations, which are whole nanoseconds.
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class VivaldiSettings:
    """Serf's parameters."""

    dimensions: int = DIMENSIONS
    error_max: float = 1.5
    """Confidence at start, and the worst it can become."""
    error_step: float = 0.25
    """c_e: how much one measurement moves the error."""
    position_step: float = 0.25
    """c_c: how much one measurement moves the position."""
    adjustment_window: int = 20
    height_min_s: float = 1e-5
    filter_size: int = 3
    gravity_rho_s: float = 150.0


class Vivaldi:
    """The coordinate of this member, moved by each measurement."""

    def __init__(self, rng: random.Random, settings: VivaldiSettings | None = None) -> None:
        self.settings = settings or VivaldiSettings()
        self._rng = rng
        self._origin = self._fresh()
        self.coordinate = self._origin
        self.resets = 0
        """How often the arithmetic ran out of numbers and started over."""
        self._residuals = [0.0] * self.settings.adjustment_window
        self._next_residual = 0
        self._recent: dict[str, deque[float]] = {}

    def update(self, node: str, other: Coordinate, rtt_s: float) -> Coordinate:
        """A packet to `node`, which is at `other`, took `rtt_s` seconds there and back; where we are now.

        Raises:
            RemoteProtocolError: the coordinate or the time cannot be used.
        """
        if not is_usable(other, self.settings.dimensions):
            raise RemoteProtocolError(f"coordinate of {node} cannot be used")
        if not 0 <= rtt_s <= MAX_RTT_S:
            raise RemoteProtocolError(f"round trip to {node} is {rtt_s:g} s, not within 0 and {MAX_RTT_S:g} s")
        rtt_s = self._filtered(node, rtt_s)
        try:
            moved = self._sprung(self.coordinate, other, rtt_s)
            moved = self._adjusted(moved, other, rtt_s)
            moved = self._pulled(moved)
        except OverflowError:
            moved = None
        if moved is None or not is_usable(moved, self.settings.dimensions):
            self.resets += 1
            self._residuals = [0.0] * self.settings.adjustment_window
            moved = self._fresh()
        self.coordinate = moved
        return moved

    def forget(self, node: str) -> None:
        """`node` has gone: its past round trips say nothing about whoever bears its name next."""
        self._recent.pop(node, None)

    def _fresh(self) -> Coordinate:
        settings = self.settings
        return Coordinate(
            vec=(0.0,) * settings.dimensions, error=settings.error_max, adjustment=0.0, height=settings.height_min_s
        )

    def _filtered(self, node: str, rtt_s: float) -> float:
        """The median of the last round trips; of two the larger."""
        recent = self._recent.get(node)
        if recent is None:
            recent = self._recent[node] = deque(maxlen=self.settings.filter_size)
        recent.append(rtt_s)
        return sorted(recent)[len(recent) // 2]

    def _sprung(self, here: Coordinate, other: Coordinate, rtt_s: float) -> Coordinate:
        """Vivaldi's step: the surer of the two moves less."""
        settings = self.settings
        distance = _distance(here, other)
        rtt_s = max(rtt_s, _ZERO_S)
        weight = here.error / max(here.error + other.error, _ZERO_S)
        step = settings.error_step * weight
        error = min(step * abs(distance - rtt_s) / rtt_s + here.error * (1 - step), settings.error_max)
        force = settings.position_step * weight * (rtt_s - distance)
        vec, height = self._moved(here, other, force)
        return Coordinate(vec=vec, error=error, adjustment=here.adjustment, height=height)

    def _adjusted(self, here: Coordinate, other: Coordinate, rtt_s: float) -> Coordinate:
        """The mean of what the model gets wrong, halved between the two ends."""
        window = self.settings.adjustment_window
        if not window:
            return here
        self._residuals[self._next_residual] = rtt_s - (math.dist(here.vec, other.vec) + here.height + other.height)
        self._next_residual = (self._next_residual + 1) % window
        adjustment = sum(self._residuals) / (2 * window)
        return Coordinate(vec=here.vec, error=here.error, adjustment=adjustment, height=here.height)

    def _pulled(self, here: Coordinate) -> Coordinate:
        """Gravity: the whole cloud of members must not drift away from the origin."""
        force = -((_distance(self._origin, here) / self.settings.gravity_rho_s) ** 2)
        vec, height = self._moved(here, self._origin, force)
        return Coordinate(vec=vec, error=here.error, adjustment=here.adjustment, height=height)

    def _moved(self, here: Coordinate, other: Coordinate, force: float) -> tuple[tuple[float, ...], float]:
        """Position and height after a push of `force` seconds away from `other`."""
        apart = [mine - theirs for mine, theirs in zip(here.vec, other.vec, strict=True)]
        length = math.hypot(*apart)
        height = here.height
        if length > _ZERO_S:
            height = max((here.height + other.height) * force / length + here.height, self.settings.height_min_s)
        else:
            apart = [self._rng.random() - 0.5 for _ in apart]
            length = math.hypot(*apart) or 1.0
        return tuple(mine + part / length * force for mine, part in zip(here.vec, apart, strict=True)), height


def is_usable(coordinate: Coordinate, dimensions: int = DIMENSIONS) -> bool:
    """Whether a coordinate has the right dimensions and only finite numbers."""
    numbers = (*coordinate.vec, coordinate.error, coordinate.adjustment, coordinate.height)
    return len(coordinate.vec) == dimensions and all(map(math.isfinite, numbers))


def _distance(here: Coordinate, other: Coordinate) -> float:
    return math.trunc(distance_s(here, other) * _NANOSECONDS) / _NANOSECONDS
