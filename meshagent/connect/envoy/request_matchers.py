"""Conditions on requests in Envoy's words: headers, methods, query parameters. Intentions and routes share them.

An expression is RE2 and matches the whole value; Envoy compares each value of a header by itself.

Source: surface rows X7, X13; Envoy's HeaderMatcher, QueryParameterMatcher and StringMatcher. What may change here:
further ways to compare.
"""

from __future__ import annotations

import re
from typing import Any

from meshagent.connect.envoy.resources import Resource

__all__ = ["expression", "header", "literal", "methods", "text"]

_SPECIAL = re.compile(r"[.+*?()\[\]{}|^$\\]")


def literal(value: str) -> str:
    """What matches just this text in an expression."""
    return _SPECIAL.sub(r"\\\g<0>", value)


def expression(pattern: str) -> Resource:
    """A StringMatcher's (or path's) regular expression."""
    return {"safe_regex": {"regex": pattern}}


def text(
    *,
    exact: str = "",
    prefix: str = "",
    suffix: str = "",
    contains: str = "",
    regex: str = "",
    ignore_case: bool = False,
) -> Resource:
    """A StringMatcher by the first way that is set; case cannot be ignored in an expression."""
    for way, value in (("exact", exact), ("prefix", prefix), ("suffix", suffix), ("contains", contains)):
        if value:
            return {way: value, **({"ignore_case": True} if ignore_case else {})}
    return expression(regex)


def header(condition: Any) -> Resource:
    """A HeaderMatcher from a condition of an intention or a route (their fields have the same names)."""
    found: Resource = {"name": condition.name}
    if condition.present:
        found["present_match"] = True
    else:
        found["string_match"] = text(
            exact=condition.exact,
            prefix=condition.prefix,
            suffix=condition.suffix,
            contains=getattr(condition, "contains", ""),
            regex=condition.regex,
            ignore_case=getattr(condition, "ignore_case", False),
        )
    if condition.invert:
        found["invert_match"] = True
    return found


def methods(names: tuple[str, ...]) -> Resource:
    """A HeaderMatcher of any of some methods."""
    return {"name": ":method", "string_match": expression("|".join(map(literal, names)))}
