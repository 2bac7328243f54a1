"""Regular expressions as Go has them: RE2, with Go's words for a bad one.

Source: github.com/google/re2/wiki/Syntax; pkg.go.dev/regexp/syntax#ErrorCode. RE2 runs in linear time, so an expression
from outside cannot hold the loop. Imported lazily: few installations use one.

What may change here: further words of RE2 that Go says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["compile_search"]

#: RE2's words for a bad expression -> those of Go's regexp/syntax, which people see in Consul.
_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}


def compile_search(pattern: str) -> Callable[[str], Any]:
    """The unanchored search for an expression: text -> match or None.

    Raises:
        ValueError: with Go's words, e.g. ``error parsing regexp: missing closing ): `(` ``.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        search: Callable[[str], Any] = re2.compile(pattern, options).search
    except UnicodeEncodeError:
        raise ValueError("invalid UTF-8") from None
    except re2.error as error:
        raw = error.args[0]
        words, _, where = (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)).partition(": ")
        raise ValueError(f"error parsing regexp: {_WORDS.get(words, words)}: `{where}`") from None
    return search
