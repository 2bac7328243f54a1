"""Which versions an extension is for: `>= 1.16, < 2.0`, `~> 1.17`.

Source: surface row M86; github.com/hashicorp/go-version (operators, how versions without all parts count). What may
change here: nothing, the language is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["matches", "problem"]

_ONE = re.compile(r"\s*(=|!=|>=|<=|>|<|~>)?\s*v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:[-+][0-9A-Za-z.+-]+)?\s*")
Version = tuple[int, ...]
_LENGTH = 4


def _pessimistic(version: Version, wanted: Version, parts: int) -> bool:
    """At least as new, and the same but for the last part that is said."""
    return version >= wanted and version[: parts - 1] == wanted[: parts - 1]


_OPERATORS: dict[str, Callable[[Version, Version, int], bool]] = {
    "": lambda version, wanted, parts: version == wanted,
    "=": lambda version, wanted, parts: version == wanted,
    "!=": lambda version, wanted, parts: version != wanted,
    ">": lambda version, wanted, parts: version > wanted,
    ">=": lambda version, wanted, parts: version >= wanted,
    "<": lambda version, wanted, parts: version < wanted,
    "<=": lambda version, wanted, parts: version <= wanted,
    "~>": _pessimistic,
}


def problem(constraint: str) -> str:
    """What is wrong with a constraint; "" when nothing is."""
    wrong = next((one for one in constraint.split(",") if _ONE.fullmatch(one) is None), None)
    return f"Malformed constraint: {wrong}" if wrong is not None and constraint else ""


def matches(constraint: str, version: str) -> bool:
    """Whether a version ("1.40.0") is among those; none at all, or an unknown version, is every one."""
    found = re.match(r"v?(\d{1,9}(?:\.\d{1,9}){0,3})", version)
    if not constraint or problem(constraint) or found is None:
        return not constraint or found is None
    held = _padded(found[1])
    return all(_holds(one, held) for one in constraint.split(","))


def _holds(one: str, version: Version) -> bool:
    found = _ONE.fullmatch(one)
    return found is not None and _OPERATORS[found[1] or ""](version, _padded(found[2]), found[2].count(".") + 1)


def _padded(text: str) -> Version:
    parts = [int(part) for part in text.split(".")]
    return tuple(parts + [0] * (_LENGTH - len(parts)))
