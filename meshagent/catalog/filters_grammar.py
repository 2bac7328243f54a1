r"""The text of filter expressions, read to a tree (`filters_tree`).

Source: surface rows F1-F4; developer.hashicorp.com/consul/api-docs/features/filtering; the language of
github.com/hashicorp/go-bexpr 0.1. The grammar (EBNF; `_` is one or more of space, tab, CR, LF):

    input      = [_] or [_] end
    or         = and { _ "or" _ and }
    and        = not { _ "and" _ not }
    not        = "not" _ not | group
    group      = "(" [_] or [_] ")" | match
    match      = selector ( [_] ("==" | "!=") [_] | _ ["not" _] ("contains" | "matches") _ ) value
               | selector _ "is" _ ["not" _] "empty"
               | value _ ["not" _] "in" _ selector
    selector   = name { "." name | "[" [_] string [_] "]" }
    name       = letter { letter | digit | "_" }
    value      = selector | number | string
    number     = ["-"] ( "0" | nonzero { digit } ) [ "." digit { digit } ]     (then `_`, end or ")")
    string     = '"' { any but '"' } '"'  (Go's escapes)  |  "`" { any but "`" } "`"

Error texts are Consul's, for scripts and people know them: what could have stood at the farthest place reached, or the
mistake that was recognised there. So every terminal notes its failure in `_Reader`, and the reading order above is
part of the contract. What may change: new operators, at the end of an alternative. The limits keep hostile text cheap.
"""

from __future__ import annotations

import re

from meshagent.catalog.filters_quoting import quote, unescape
from meshagent.catalog.filters_tree import And, Expression, Match, Not, Operator, Or

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "FilterError", "parse"]

#: Levels of parentheses and `not`: the reader recurses. Nobody writes more than a handful.
MAX_DEPTH = 64
#: Characters of an expression; an HTTP request line of Consul's clients is far below.
MAX_LENGTH = 65536
#: Mistakes reported at once.
MAX_MISTAKES = 16


class FilterError(ValueError):
    """The expression cannot be used; the text is Consul's, without its prefix."""


_SPACE = re.compile(r"[ \t\r\n]+")
_LETTER = re.compile(r"[a-zA-Z]")
_WORD = re.compile(r"[a-zA-Z0-9_]*")
_NONZERO = re.compile(r"[1-9]")
_DIGITS = re.compile(r"[0-9]*")


def parse(text: str) -> Expression:
    """The tree of `text`. Raises: FilterError."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"the expression has {len(text)} characters, the limit is {MAX_LENGTH}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError(f"{_Reader(text).place(error.start)}: invalid encoding") from None
    return _Reader(text).read()


class _Reader:
    """One pass over one text. A rule returns None when it does not match and leaves `at` anywhere."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.farthest = 0
        self.expected: set[str] = set()
        self.mistakes: dict[str, None] = {}

    # -- terminals and errors -----------------------------------------------------------------------------------

    def missed(self, want: str, at: int) -> None:
        if at > self.farthest:
            self.farthest = at
            self.expected = {want}
        elif at == self.farthest:
            self.expected.add(want)

    def mistake(self, rule: str, message: str, at: int) -> None:
        self.mistakes[f'{self.place(at)}: rule "{rule}": {message}'] = None
        if len(self.mistakes) == MAX_MISTAKES:
            raise FilterError("\n".join(self.mistakes))

    def place(self, at: int) -> str:
        """`line:column (byte offset)`; a line begins with its newline, at column 0."""
        newline = self.text.rfind("\n", 0, at + 1)
        line = self.text.count("\n", 0, at + 1) + 1
        offset = len(self.text[:at].encode())
        return f"{line}:{at + 1 if newline < 0 else at - newline} ({offset})"

    def literal(self, word: str) -> bool:
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        self.missed(quote(word), self.at)
        return False

    def one(self, pattern: re.Pattern[str], want: str) -> bool:
        if pattern.match(self.text, self.at):
            self.at += 1
            return True
        self.missed(want, self.at)
        return False

    def many(self, pattern: re.Pattern[str], want: str) -> None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        self.missed(want, self.at)

    def space(self) -> bool:
        found = _SPACE.match(self.text, self.at)
        if found:
            self.at = found.end()
        self.missed(r"[ \t\r\n]", self.at)
        return found is not None

    def end(self) -> bool:
        if self.at == len(self.text):
            return True
        self.missed("EOF", self.at)
        return False

    # -- expressions --------------------------------------------------------------------------------------------

    def read(self) -> Expression:
        self.space()
        tree = self.either()
        if tree is not None:
            self.space()
            if self.end() and not self.mistakes:
                return tree
        if self.mistakes:
            raise FilterError("\n".join(self.mistakes))
        wanted = sorted(self.expected - {"EOF"}) + (["EOF"] if "EOF" in self.expected else [])
        listed = wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
        raise FilterError(f"{self.place(self.farthest)}: no match found, expected: {listed}")

    def either(self) -> Expression | None:
        terms: list[Expression] = []
        while (term := self.both()) is not None:
            terms.append(term)
            back = self.at
            if not (self.space() and self.literal("or") and self.space()):
                break
        else:
            if not terms:
                return None
        self.at = back
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def both(self) -> Expression | None:
        terms: list[Expression] = []
        while (term := self.negation()) is not None:
            terms.append(term)
            back = self.at
            if not (self.space() and self.literal("and") and self.space()):
                break
        else:
            if not terms:
                return None
        self.at = back
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def negation(self) -> Expression | None:
        start = self.at
        if self.literal("not") and self.space():
            self.enter()
            operand = self.negation()
            self.depth -= 1
            if operand is not None:
                return operand.operand if isinstance(operand, Not) else Not(operand)
        self.at = start
        return self.group()

    def group(self) -> Expression | None:
        if not self.literal("("):
            return self.match()
        self.enter()
        self.space()
        inside = self.either()
        self.depth -= 1
        if inside is None:
            return None
        self.space()
        if self.literal(")"):
            return inside
        self.mistake("grouping", "Unmatched parentheses", self.at)
        return None

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"{self.place(self.at)}: nested deeper than {MAX_DEPTH} levels")

    # -- comparisons --------------------------------------------------------------------------------------------

    def match(self) -> Match | None:
        start = self.at
        selector = self.selector()
        after = self.at
        if selector is not None:
            operator = self.comparison()
            if operator is not None:
                value = self.value()
                if value is not None:
                    return Match(selector, operator, value)
            self.at = after
            operator = self.emptiness()
            if operator is not None:
                return Match(selector, operator)
        self.at = start
        value = self.value()
        if value is None:
            return None
        operator = self.words("in", Operator.IN) or self.words("not in", Operator.NOT_IN)
        if operator is None:
            return None
        selector = self.selector()
        if selector is None:
            self.mistake("match", "Invalid selector", self.at)
            return None
        return Match(selector, operator, value)

    def comparison(self) -> Operator | None:
        return (
            self.symbol("==", Operator.EQUAL)
            or self.symbol("!=", Operator.NOT_EQUAL)
            or self.words("contains", Operator.IN)
            or self.words("not contains", Operator.NOT_IN)
            or self.words("matches", Operator.MATCHES)
            or self.words("not matches", Operator.NOT_MATCHES)
        )

    def emptiness(self) -> Operator | None:
        return self.words("is empty", Operator.IS_EMPTY, trailing=False) or self.words(
            "is not empty", Operator.IS_NOT_EMPTY, trailing=False
        )

    def symbol(self, sign: str, operator: Operator) -> Operator | None:
        start = self.at
        self.space()
        if self.literal(sign):
            self.space()
            return operator
        self.at = start
        return None

    def words(self, phrase: str, operator: Operator, *, trailing: bool = True) -> Operator | None:
        start = self.at
        if all(self.space() and self.literal(word) for word in phrase.split()) and (not trailing or self.space()):
            return operator
        self.at = start
        return None

    # -- selectors and values -----------------------------------------------------------------------------------

    def selector(self) -> tuple[str, ...] | None:
        first = self.name()
        if first is None:
            return None
        parts = [first]
        while True:
            back = self.at
            part = self.name() if self.literal(".") else None
            if part is None:
                self.at = back
                part = self.index()
            if part is None:
                self.at = back
                return tuple(parts)
            parts.append(part)

    def name(self) -> str | None:
        start = self.at
        if not self.one(_LETTER, "[a-zA-Z]"):
            return None
        self.many(_WORD, "[a-zA-Z0-9_]")
        return self.text[start : self.at]

    def index(self) -> str | None:
        if not self.literal("["):
            return None
        self.space()
        before = self.at
        key = self.string()
        if key is None:
            self.mistake("index", "Invalid index", before)
            return None
        self.space()
        if self.literal("]"):
            return key
        self.mistake("index", "Unclosed index expression", self.at)
        return None

    def value(self) -> str | None:
        start = self.at
        selector = self.selector()
        if selector is not None:
            return ".".join(selector)
        self.at = start
        number = self.number()
        if number is not None:
            return number
        self.at = start
        return self.string()

    def number(self) -> str | None:
        start = self.at
        self.literal("-")
        if not self.literal("0"):
            if not self.one(_NONZERO, "[1-9]"):
                return None
            self.many(_DIGITS, "[0-9]")
        whole = self.at
        if self.literal("."):
            before = self.at
            self.many(_DIGITS, "[0-9]")
            if self.at == before:
                self.at = whole
        stop = self.at
        if self.space() or self.end() or self.literal(")"):
            self.at = stop
            return self.text[start:stop]
        self.mistake("number", "Invalid number literal", stop)
        return None

    def string(self) -> str | None:
        start = self.at
        for mark in ("`", '"'):
            if not self.literal(mark):
                continue
            stop = self.text.find(mark, self.at)
            if stop < 0:
                self.at = start
                self.mistake("string", "Unterminated string literal", len(self.text))
                return None
            inside = self.text[self.at : stop]
            self.at = stop + 1
            if mark == "`":
                return inside.replace("\r", "")
            plain = unescape(inside)
            if plain is None:
                self.mistake("string", "invalid syntax", start)
            return plain or ""
        return None
