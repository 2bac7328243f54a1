"""Filter expressions: from text to a predicate over rows.

Source: surface rows C21 and F1-F10; the semantics of github.com/hashicorp/go-bexpr 0.1 with its error texts. The text
is read in `filters_grammar`, what can be selected stands in `filters_fields`; here both are joined: selectors and
operators are checked, values converted once, and closures built, so that a row costs a few calls.

What may change here: how fast it is. Three of Consul's habits are kept on purpose: a missing map key makes every
negative operator and `matches` true; `contains` on a list inside a list looks at any element; integers are read as Go
literals (`0x50` in quotes is 80).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from meshagent.catalog.filters_fields import KINDS, Each, FieldType, Kind, Scalar, Struct, Table
from meshagent.catalog.filters_grammar import FilterError, parse
from meshagent.catalog.filters_quoting import quote
from meshagent.catalog.filters_tree import And, Expression, Match, Not, Operator, Or
from meshagent.catalog.go_regexp import compile_search
from meshagent.errors import InternalError

__all__ = ["Predicate", "compile_filter"]

Predicate = Callable[[Any], bool]

#: A missing key: Consul says "no" for these operators and "yes" for all others.
_FALSE_WHEN_MISSING = frozenset({Operator.EQUAL, Operator.IS_NOT_EMPTY, Operator.IN})
_NEGATIVE = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.IS_NOT_EMPTY: Operator.IS_EMPTY,
    Operator.NOT_MATCHES: Operator.MATCHES,
}


@lru_cache(maxsize=256)
def compile_filter(expression: str, kind: str) -> Predicate:
    """The predicate of `expression` over rows of `kind` (a key of KINDS); an empty expression is true.

    Raises:
        InternalError: with Consul's text (a bad filter is its 500).
        KeyError: for an unknown kind.
    """
    rows = KINDS[kind]
    if not expression:
        return lambda _row: True
    try:
        return _compile(parse(expression), rows)
    except FilterError as error:
        raise InternalError(f"Failed to create boolean expression evaluator: {error}") from None


def _compile(tree: Expression, rows: Kind) -> Predicate:
    if not rows.late:
        return _build(tree, rows.fields)
    try:
        return _build(tree, rows.fields)
    except FilterError as error:
        message = str(error)

    def refuse(_row: Any) -> bool:
        raise InternalError(message)

    return refuse


def _build(tree: Expression, fields: Struct) -> Predicate:
    if isinstance(tree, Match):
        return _comparison(tree, fields)
    if isinstance(tree, Not):
        operand = _build(tree.operand, fields)
        return lambda row: not operand(row)
    terms = [_build(term, fields) for term in tree.terms]
    if len(terms) == 2:
        left, right = terms
        if isinstance(tree, And):
            return lambda row: left(row) and right(row)
        return lambda row: left(row) or right(row)
    if isinstance(tree, Or):
        return lambda row: any(term(row) for term in terms)
    return lambda row: all(term(row) for term in terms)


def _comparison(match: Match, fields: Struct) -> Predicate:
    target = _resolve(match.selector, fields)
    if match.operator not in target.operators:
        raise FilterError(f"Invalid match operator {quote(match.operator.value)} for selector {_shown(match)}")
    test = _test(match, target)
    return _reach(fields, match.selector, test, match.operator not in _FALSE_WHEN_MISSING)


def _shown(match: Match) -> str:
    return quote(".".join(match.selector))


def _resolve(selector: tuple[str, ...], fields: Struct) -> FieldType:
    """The type that `selector` leads to."""
    at: FieldType = fields
    for depth, part in enumerate(selector):
        if isinstance(at, Each):
            at = at.of
        if isinstance(at, Struct) and part in at.fields:
            at = at.fields[part][1]
        elif isinstance(at, Table):
            at = at.of
        else:
            raise FilterError(f"Selector {quote('.'.join(selector[: depth + 1]))} is not valid")
    return at


def _reach(at: FieldType, selector: tuple[str, ...], test: Predicate, missing: bool) -> Predicate:
    """`test` behind the way that `selector` takes from a value of type `at`."""
    if not selector:
        return test
    if isinstance(at, Struct):
        get, of = at.fields[selector[0]]
        inner = _reach(of, selector[1:], test, missing)
        return lambda row: inner(get(row))
    if isinstance(at, Each):
        inner = _reach(at.of, selector, test, missing)
        return lambda rows: any(inner(row) for row in rows or ())
    if isinstance(at, Table):
        key = selector[0]
        inner = _reach(at.of, selector[1:], test, missing)
        return lambda table: inner(table[key]) if table and key in table else missing
    raise FilterError(f"Selector {quote('.'.join(selector))} is not valid")


def _test(match: Match, target: FieldType) -> Predicate:
    """The comparison itself, on the value that the selector reached."""
    positive = _NEGATIVE.get(match.operator)
    if positive is not None:
        inner = _test(Match(match.selector, positive, match.value), target)
        return lambda value: not inner(value)
    if match.operator is Operator.IS_EMPTY:
        return lambda value: not value
    wanted = _coerce(match, target)
    if match.operator is Operator.EQUAL:
        return lambda value: bool(value == wanted)
    if match.operator is Operator.IN:
        return lambda value: value is not None and wanted in value
    search = _regex(match.value or "")
    return lambda value: search(value) is not None


# -- values -----------------------------------------------------------------------------------------------------------

_BOOLS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_BOOLS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[bB](?P<bin>(?:_?[01])+)|0[oO](?P<oct>(?:_?[0-7])+)"
    r"|(?P<old>0(?:_?[0-7])+)|(?P<dec>0|[1-9](?:_?[0-9])*))\Z"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "old": 8, "dec": 10}


def _coerce(match: Match, target: FieldType) -> Any:
    """The value as the type of what it is compared with."""
    text = match.value or ""
    kind = target.of if isinstance(target, Each) else target
    if not isinstance(kind, Scalar) or kind.kind == "string":
        return text
    try:
        if kind.kind == "bool":
            return _parse_bool(text)
        return _parse_int(text, signed=kind.kind == "int")
    except ValueError as error:
        raise FilterError(f"Failed to coerce value {quote(text)} for selector {_shown(match)}: {error}") from None


def _parse_bool(text: str) -> bool:
    if text not in _BOOLS:
        raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")
    return _BOOLS[text]


def _parse_int(text: str, *, signed: bool) -> int:
    function = "strconv.ParseInt" if signed else "strconv.ParseUint"
    found = _INTEGER.match(text)
    if found is None or (found["sign"] and not signed):
        raise ValueError(f"{function}: parsing {quote(text)}: invalid syntax")
    name = next(name for name in _BASES if found[name] is not None)
    digits = found[name].replace("_", "")
    # Longer than any 64-bit number, and Python refuses to read very long ones.
    number = int(digits, _BASES[name]) if len(digits) <= 70 else 2**64
    value = -number if found["sign"] == "-" else number
    low, high = (-(2**63), 2**63 - 1) if signed else (0, 2**64 - 1)
    if not low <= value <= high:
        raise ValueError(f"{function}: parsing {quote(text)}: value out of range")
    return value


def _regex(pattern: str) -> Callable[[str], Any]:
    """The unanchored search for an RE2 expression."""
    try:
        return compile_search(pattern)
    except ValueError as error:
        raise FilterError(f"Failed to compile regular expression {quote(pattern)}: {error}") from None
