"""Network coordinates of nodes and distances between them.

Source: surface rows CO1-CO3, C22; Dabek et al., "Vivaldi" (SIGCOMM 2004); serf's coordinate documentation for height
and adjustment. Only the newest coordinate of a (node, segment) is kept; it goes with its node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from meshagent.catalog import commands
from meshagent.catalog.model import Coordinate, CoordinateRow
from meshagent.catalog.undo import Undo
from meshagent.catalog.watch import Watches

__all__ = ["Coordinates", "distance_s", "sort_by_distance"]

T = TypeVar("T")


class Coordinates:
    """The coordinates of one datacenter's nodes, by lower-case name."""

    def __init__(self, watches: Watches, undo: Undo) -> None:
        self._watches = watches
        self._undo = undo
        self.rows: dict[str, dict[str, CoordinateRow]] = {}
        self.index = 0

    def of_node(self, node: str) -> list[CoordinateRow]:
        """All coordinates of a node, by segment."""
        return [row for _, row in sorted(self.rows.get(node.lower(), {}).items())]

    def update(self, command: commands.CoordinateBatch, index: int, known: Callable[[str], bool]) -> None:
        """Keep the coordinates of nodes that `known` accepts."""
        for row in command.updates:
            key = row.node.lower()
            if known(key):
                self.rows.setdefault(key, {})[row.segment] = row
                self._touch(key, index)

    def remove(self, node: str, index: int) -> None:
        """The node has gone."""
        rows = self.rows.pop(node.lower(), None)
        if rows is not None:
            self._undo.note(self._put_back, node.lower(), rows, self.index)
            self._touch(node.lower(), index)

    def load(self, rows: Iterable[CoordinateRow]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self.rows.setdefault(row.node.lower(), {})[row.segment] = row

    def _put_back(self, node: str, rows: dict[str, CoordinateRow], index: int) -> None:
        self.rows[node] = rows
        self.index = index

    def _touch(self, node: str, index: int) -> None:
        self.index = index
        self._watches.notify("coordinates")
        self._watches.notify(("coordinate", node))


def distance_s(a: Coordinate, b: Coordinate) -> float:
    """The estimated round trip between two coordinates in seconds."""
    if len(a.vec) != len(b.vec):
        return math.inf
    plain = math.dist(a.vec, b.vec) + a.height + b.height
    adjusted = plain + a.adjustment + b.adjustment
    return adjusted if adjusted > 0 else plain


def sort_by_distance(coordinates: Coordinates, origin: str, rows: Iterable[T], node_of: Callable[[T], str]) -> list[T]:
    """`rows` by distance of their node from `origin`; nodes without a coordinate last; stable.

    An origin without a coordinate leaves the order as it is.
    """
    start = coordinates.of_node(origin)
    if not start:
        return list(rows)
    by_segment = {row.segment: row.coord for row in start}

    def key(row: T) -> float:
        distances = [
            distance_s(by_segment[other.segment], other.coord)
            for other in coordinates.of_node(node_of(row))
            if other.segment in by_segment
        ]
        return min(distances, default=math.inf)

    return sorted(rows, key=key)
