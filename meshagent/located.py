"""Values read from a file that remember where they stood, so that every complaint can name file and line.

They are plain dicts and lists to whoever does not ask: `Table` and `Items` only add `places`. Lines and columns count
from 1, in characters. What may change: more kinds of values; not the meaning of a place (editors jump to it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["Blocks", "Items", "Place", "Table", "place_of", "told"]


class Problem(Protocol):
    """What is wrong with a value: where in it, and in words; `unknown_key` is the last step when it is not known."""

    @property
    def path(self) -> Sequence[str | int]: ...
    @property
    def text(self) -> str: ...
    @property
    def unknown_key(self) -> str: ...


class Place(NamedTuple):
    """A position in a named text; line 0 is the source as a whole (a flag)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Table(dict[str, Any]):
    """An object; `places` holds where each key stands, `place` where the object begins."""

    __slots__ = ("place", "places")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: Any, place: Place) -> None:
        self[key] = value
        self.places[key] = place


class Items(list[Any]):
    """A list; `places` holds where each item stands."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place] = []

    def put(self, value: Any, place: Place) -> None:
        self.append(value)
        self.places.append(place)


class Blocks(Items):
    """Blocks of one name (`service { ... } service { ... }`): a list, or the object itself where but one may stand."""

    __slots__ = ()


def place_of(root: Any, path: Sequence[str | int]) -> Place | None:
    """The place of what `path` (keys and list positions) leads to, or of the nearest thing around it.

    A path may leave out the position in a list of one, as readers that take it for an object do, and may give the
    position 0 in an object, as readers that take it for a list of one do.
    """
    place: Place | None = root.place if isinstance(root, Table) else None
    at: Any = root
    for step in path:
        if isinstance(at, Items) and len(at) == 1 and isinstance(step, str):
            at = at[0]
        if isinstance(at, Table) and step == 0:
            continue
        try:
            place, at = at.places[step], at[step]
        except (AttributeError, LookupError, TypeError):
            break
    return place


def told(table: Table, key: str, full: str, problem: Problem) -> str:
    """A problem of what stands at `key` of `table`, as a line for people: its place, the full key, what is wrong."""
    place = place_of(table, [key, *problem.path])
    inner = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path)
    if problem.unknown_key:
        inner = inner.removesuffix(f".{problem.unknown_key}")
    return f"{place}: {full}{inner}: {problem.text}"
