"""The tree of a filter expression, and its text.

Source: surface rows F1-F5; developer.hashicorp.com/consul/api-docs/features/filtering. `filters_grammar` makes trees,
`filters` compiles them. What may change here: operators are added; the names in `Operator` stand in error texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from meshagent.catalog.filters_quoting import quote

__all__ = ["And", "Expression", "Match", "Not", "Operator", "Or", "format_expression"]

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*\Z")


class Operator(Enum):
    """How a selector is compared; the values are the names in error texts. `contains` is `in` from the other side."""

    EQUAL = "Equal"
    NOT_EQUAL = "Not Equal"
    IN = "In"
    NOT_IN = "Not In"
    IS_EMPTY = "Is Empty"
    IS_NOT_EMPTY = "Is Not Empty"
    MATCHES = "Matches"
    NOT_MATCHES = "Not Matches"


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison; `value` is None for emptiness."""

    selector: tuple[str, ...]
    operator: Operator
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Not:
    """Never directly around another `Not`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """Two terms or more."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two terms or more."""

    terms: tuple[Expression, ...]


Expression = Match | Not | And | Or


def format_expression(tree: Expression) -> str:
    """Text that parses to `tree` again."""
    if isinstance(tree, Match):
        return _format_match(tree)
    if isinstance(tree, Not):
        return f"not {_format_term(tree.operand)}"
    word = " and " if isinstance(tree, And) else " or "
    return word.join(_format_term(term) for term in tree.terms)


def _format_term(term: Expression) -> str:
    return format_expression(term) if isinstance(term, Match | Not) else f"({format_expression(term)})"


def _format_match(match: Match) -> str:
    selector = match.selector[0]
    for part in match.selector[1:]:
        selector += f".{part}" if _NAME.match(part) else f"[{_format_string(part)}]"
    if match.value is None:
        return f"{selector} {match.operator.value.lower()}"
    value = _format_string(match.value)
    if match.operator in (Operator.IN, Operator.NOT_IN):
        return f"{value} {match.operator.value.lower()} {selector}"
    sign = {Operator.EQUAL: "==", Operator.NOT_EQUAL: "!="}.get(match.operator, match.operator.value.lower())
    return f"{selector} {sign} {value}"


def _format_string(text: str) -> str:
    # A double quote cannot stand inside a literal, not even escaped: the grammar ends the literal there.
    return quote(text).replace('\\"', "\\x22") if '"' in text else quote(text)
