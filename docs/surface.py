"""What stands behind each row of the list we build against: recordings, tables, code, tests - or why it is open.

Source: our own: docs/surface.toml (the rows), the tables of endpoints and commands, the steps of tests/data/golden, and
what modules and tests quote (`row D24`, `surface rows L1-L12, M20`). What may change here: another kind of evidence is
another function in `EVIDENCE`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from meshagent.agent.cli.table import SUBCOMMANDS
from meshagent.agent.http.routes import load_routes

__all__ = ["by_hand", "evidence", "open_rows", "sections"]

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
#: `rows D1, E4-E6 and L30`: what follows the word, as long as it looks like row numbers.
QUOTED = re.compile(
    r"\b(?:[Rr]ows?|[Ss]urface)((?:(?:,| and|;)?\s*\(?[A-Z]{1,2}\d+(?:\s*(?:-|to)\s*(?:[A-Z]{1,2})?\d+)?\)?)+)"
)
NUMBER = re.compile(r"([A-Z]{1,2})(\d+)(?:\s*(?:-|to)\s*(?:[A-Z]{1,2})?(\d+))?")


@cache
def _data() -> dict[str, object]:
    return tomllib.loads((DOCS / "surface.toml").read_text())


def sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(name of the section, its rows as (number, what it is))."""
    for section in _data()["section"]:  # type: ignore[attr-defined]
        yield section["name"], [(number, what) for number, what in section["rows"]]


def open_rows() -> dict[str, str]:
    """Row -> why it is not built."""
    return {number: group["reason"] for group in _data()["open"] for number in group["rows"]}  # type: ignore[attr-defined]


def _numbers(text: str) -> Iterator[str]:
    for quoted in QUOTED.finditer(text):
        for letters, first, last in NUMBER.findall(quoted[1]):
            yield from (f"{letters}{n}" for n in range(int(first), int(last or first) + 1))


def _of_files(paths: Iterable[Path]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        for number in set(_numbers(" ".join(path.read_text().split()))):
            found.setdefault(number, []).append(path.relative_to(ROOT).as_posix())
    return found


def _recorded() -> dict[str, list[str]]:
    """Scenarios of recorded answers and how many of their steps belong to a row."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests/data/golden").glob("*/*.json")):
        scenario = json.loads(path.read_text())
        steps = scenario.get("steps", []) if isinstance(scenario, dict) else []
        for number, count in Counter(row for step in steps for row in step.get("row", "").split()).items():
            found.setdefault(number, []).append(f"{count} recorded steps of {path.stem}")
    return found


def _routed() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for route in load_routes():
        if route.built:
            found.setdefault(route.row, []).append("the table of endpoints")
    return {number: names[:1] for number, names in found.items()}


def _commanded() -> dict[str, list[str]]:
    return {row.row: ["the table of commands"] for row in SUBCOMMANDS if row.row}


def _tested() -> dict[str, list[str]]:
    return _of_files((ROOT / "tests").rglob("*.py"))


def _written() -> dict[str, list[str]]:
    return _of_files((ROOT / "meshagent").rglob("*.py"))


def by_hand() -> dict[str, list[str]]:
    """Path -> the rows it shows without quoting their numbers."""
    return dict(_data()["shown"])  # type: ignore[call-overload]


def _pointed() -> dict[str, list[str]]:
    return {number: [path] for path, numbers in by_hand().items() for number in numbers}


EVIDENCE: tuple[Callable[[], dict[str, list[str]]], ...] = (_recorded, _routed, _commanded, _tested, _pointed, _written)


@cache
def evidence() -> dict[str, list[str]]:
    """Row -> what stands behind it, strongest first."""
    found: dict[str, list[str]] = {}
    for source in EVIDENCE:
        for number, names in source().items():
            found.setdefault(number, []).extend(names)
    return found
