"""All series of a sidecar, bounded: whoever invents sources or routes cannot make it grow.

Source: prometheus.io, "Instrumentation: do not overuse labels". What may change here: the bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meshagent.connect.proxy.telemetry.series import Edge, Series

__all__ = ["MAX_EDGES", "MAX_PATHS", "OTHER", "Book", "path_cell"]

MAX_EDGES = 1000
#: Path prefixes kept of one edge, for suggestions.
MAX_PATHS = 100
#: Paths of one edge remembered as they came.
_MAX_CELLS = 512
#: What is over a bound is counted together under this name.
OTHER = "(other)"


class Book:
    """Series by edge."""

    def __init__(self, most: int = MAX_EDGES) -> None:
        self._most = most
        self._series: dict[Edge, Series] = {}

    def series(self, direction: str, source: str, destination: str, route: str = "") -> Series:
        """The series of an edge, to keep; one for all others when there are too many."""
        edge = (direction, source, destination, route)
        found = self._series.get(edge)
        if found is None:
            if len(self._series) >= self._most:
                edge = (direction, OTHER, OTHER, OTHER)
                found = self._series.get(edge)
            if found is None:
                found = self._series[edge] = Series(edge)
        return found

    def all(self) -> Iterable[Series]:
        """Every series there is."""
        return self._series.values()

    def shown(self) -> list[dict[str, Any]]:
        """As the admin socket tells them."""
        return [series.shown() for _, series in sorted(self._series.items())]


def path_cell(series: Series, method: bytes, path: bytes) -> list[int]:
    """Where requests of this method and path are counted: by the first part of the path."""
    first = path.partition(b"?")[0].split(b"/", 2)[1:2]
    key = (method.decode("latin-1"), f"/{first[0].decode('latin-1')}" if first else "/")
    paths = series.paths
    if key not in paths and len(paths) >= MAX_PATHS:
        key = ("*", OTHER)
    cell = paths.setdefault(key, [0])
    if len(series.cells) >= _MAX_CELLS:
        series.cells.clear()
    series.cells[method, path] = cell
    return cell
