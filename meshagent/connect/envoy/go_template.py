"""Texts in Go's template language, as far as a bootstrap of one's own needs it.

    {{ if .AgentSocket }}"pipe": {"path": "{{ .AgentSocket }}"}{{ else }}...{{ end }}

Actions: values (`.Name`, `$name`, texts, whole numbers), `if`, `else if`, `else`, `with`, `range`, `end`, variables
(`$x := ...`), `|`, comments, `{{-` and `-}}`. Functions: rows of `_FUNCTIONS`. Everything else of Go's is refused.

Source: pkg.go.dev/text/template (syntax, truth, functions). What may change here: a function is a row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshagent.errors import BadRequest

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_STEPS", "render"]

#: A template's size; Consul's own has 6 kB.
MAX_BYTES = 1 << 20
#: Blocks in blocks, parentheses in parentheses.
MAX_DEPTH = 32
#: Blocks that one rendering runs: `range` in `range` must end.
MAX_STEPS = 100_000

#: What is between the braces: quoted texts and comments may hold braces of their own.
_INSIDE = re.compile(r"""(?:"(?:[^"\\\n]|\\.)*"|`[^`]*`|/\*.*?\*/|(?!\}\}).)*""", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SPACES = " \t\r\n"
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*")|`(?P<raw>[^`]*)`|(?P<number>-?\d+)(?![\w.])|(?P<variable>\$\w*(?:\.\w+)*)"""
    r"""|(?P<field>(?:\.\w+)+)|(?P<dot>\.)|(?P<word>[A-Za-z_]\w*)|(?P<mark>:=|[|(),=]))"""
)
Token = tuple[str, str]


@dataclass(slots=True)
class _Block:
    """`kind` is "text", "value", "if", "range" or "with"; `branches` are (condition, what follows), "else" has None."""

    kind: str
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    branches: list[tuple[list[Token] | None, list[_Block]]] = field(default_factory=list)


def render(template: str, data: Mapping[str, Any]) -> str:
    """The text that a template gives for `data`: names -> texts, truths, numbers, lists or mappings.

    Raises:
        BadRequest: it cannot be read, or asks for what there is not.
    """
    if len(template) > MAX_BYTES:
        raise BadRequest(f"template: more than {MAX_BYTES} bytes")
    out: list[str] = []
    _Run({"$": data}, out).blocks(_parsed(template), data)
    return "".join(out)


# --- reading --------------------------------------------------------------------------------------------------------


def _parsed(template: str) -> list[_Block]:
    root: list[_Block] = []
    open_: list[_Block] = []
    here = root
    for block in _actions(template):
        first = block.tokens[0] if block.kind == "value" else ("", "")
        if first == ("word", "end"):
            if not open_ or len(block.tokens) > 1:
                raise BadRequest("template: unexpected {{end}}")
            open_.pop()
            here = open_[-1].branches[-1][1] if open_ else root
        elif first == ("word", "else"):
            if not open_ or open_[-1].branches[-1][0] is None:
                raise BadRequest("template: unexpected {{else}}")
            rest = block.tokens[1:]
            if rest and rest[0] != ("word", open_[-1].kind):
                raise BadRequest(f"template: unexpected {rest[0][1]!r} after else")
            here = []
            open_[-1].branches.append((rest[1:] if rest else None, here))
        elif first[0] == "word" and first[1] in ("if", "range", "with"):
            if len(open_) >= MAX_DEPTH:
                raise BadRequest(f"template: more than {MAX_DEPTH} blocks in each other")
            here.append(_Block(first[1], branches=[(block.tokens[1:], [])]))
            open_.append(here[-1])
            here = here[-1].branches[0][1]
        else:
            here.append(block)
    if open_:
        raise BadRequest(f"template: {{{{{open_[-1].kind}}}}} has no {{{{end}}}}")
    return root


def _actions(template: str) -> Iterator[_Block]:
    """Text and actions in turn, spaces taken away where a dash says so; comments left out."""
    at, trim = 0, False
    while (start := template.find("{{", at)) >= 0:
        text = template[at:start]
        inside = _INSIDE.match(template, start + 2)
        action, end = (inside[0], inside.end()) if inside is not None else ("", start)
        if not template.startswith("}}", end):
            raise BadRequest("template: an action has no }}")
        left = action.startswith("-") and action[1:2] in (*_SPACES, "")
        right = action.endswith("-") and action[-2:-1] in (*_SPACES, "")
        yield _Block("text", _trimmed(text, trim, left))
        action = action[1 if left else 0 : len(action) - 1 if right and len(action) > 1 else None].strip(_SPACES)
        if not _COMMENT.fullmatch(action):
            yield _Block("value", tokens=_tokens(action))
        at, trim = end + 2, right
    yield _Block("text", _trimmed(template[at:], trim, False))


def _trimmed(text: str, left: bool, right: bool) -> str:
    if left:
        text = text.lstrip(_SPACES)
    return text.rstrip(_SPACES) if right else text


def _tokens(action: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(action):
        match = _TOKEN.match(action, at)
        if match is None or match.lastgroup is None:
            raise BadRequest(f"template: cannot read {action[at : at + 20].strip()!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    if not found:
        raise BadRequest("template: missing value for command")
    return found


# --- values ---------------------------------------------------------------------------------------------------------


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def run(one: Any, other: Any) -> bool:
        if type(one) is not type(other):
            raise BadRequest("template: incompatible types for comparison")
        return compare(one, other)

    return run


def _equal(one: Any, *others: Any) -> bool:
    return any(_compared(lambda a, b: bool(a == b))(one, other) for other in others)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = value.get(key, "")
        elif isinstance(value, Sequence) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            raise BadRequest(f"template: index: there is no {key!r}")
    return value


#: name -> (function, least and most arguments)
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "not": (lambda value: not value, 1, 1),
    "and": (lambda *values: next((value for value in values if not value), values[-1]), 1, 16),
    "or": (lambda *values: next((value for value in values if value), values[-1]), 1, 16),
    "eq": (_equal, 2, 16),
    "ne": (_compared(lambda one, other: bool(one != other)), 2, 2),
    "lt": (_compared(lambda one, other: bool(one < other)), 2, 2),
    "le": (_compared(lambda one, other: bool(one <= other)), 2, 2),
    "gt": (_compared(lambda one, other: bool(one > other)), 2, 2),
    "ge": (_compared(lambda one, other: bool(one >= other)), 2, 2),
    "len": (lambda value: len(value), 1, 1),
    "index": (_index, 1, 16),
    "js": (lambda value: json.dumps(_shown(value))[1:-1], 1, 1),
    "print": (lambda *values: "".join(map(_shown, values)), 0, 16),
}
_WORDS = {"true": True, "false": False, "nil": None}


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "<no value>"}[value]
    return str(value) if isinstance(value, int) else json.dumps(value)


# --- running --------------------------------------------------------------------------------------------------------


class _Run:
    """One rendering: variables by name with their "$", and what is written."""

    def __init__(self, variables: Mapping[str, Any], out: list[str]) -> None:
        self._variables = dict(variables)
        self._out = out
        self._steps = 0

    def blocks(self, blocks: Sequence[_Block], dot: Any) -> None:
        for block in blocks:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise BadRequest(f"template: more than {MAX_STEPS} steps")
            if block.kind == "text":
                self._out.append(block.text)
            elif block.kind == "value":
                names, tokens = _declared(block.tokens)
                value = self._pipeline(tokens, dot)
                if names:
                    self._variables[names[-1]] = value
                else:
                    self._out.append(_shown(value))
            else:
                outer = dict(self._variables)
                self._branch(block, dot)
                self._variables = outer

    def _branch(self, block: _Block, dot: Any) -> None:
        for condition, inside in block.branches:
            if condition is None:
                self.blocks(inside, dot)
                return
            names, tokens = _declared(condition)
            value = self._pipeline(tokens, dot)
            if not value:
                continue
            if block.kind == "range":
                self._range(names, value, inside)
            else:
                if names:
                    self._variables[names[-1]] = value
                self.blocks(inside, value if block.kind == "with" else dot)
            return

    def _range(self, names: list[str], value: Any, inside: Sequence[_Block]) -> None:
        if isinstance(value, Mapping):
            pairs: list[tuple[Any, Any]] = sorted(value.items())
        elif isinstance(value, (list, tuple)):
            pairs = list(enumerate(value))
        else:
            raise BadRequest("template: range can't iterate over what is no list")
        for key, one in pairs:
            if names:
                self._variables[names[-1]] = one
            if len(names) > 1:
                self._variables[names[0]] = key
            self.blocks(inside, one)

    def _pipeline(self, tokens: list[Token], dot: Any) -> Any:
        value, at = self._commands(tokens, 0, dot, 0)
        if at < len(tokens):
            raise BadRequest(f"template: unexpected {tokens[at][1]!r}")
        return value

    def _commands(self, tokens: list[Token], at: int, dot: Any, depth: int) -> tuple[Any, int]:
        """Commands joined by "|", up to the end or a closing parenthesis."""
        if depth > MAX_DEPTH:
            raise BadRequest(f"template: more than {MAX_DEPTH} parentheses in each other")
        passed: list[Any] = []
        while True:
            name = tokens[at][1] if at < len(tokens) and tokens[at][0] == "word" else ""
            operands: list[Any] = []
            at += name in _FUNCTIONS
            while at < len(tokens) and tokens[at] not in (("mark", "|"), ("mark", ")")):
                value, at = self._operand(tokens, at, dot, depth)
                operands.append(value)
            passed = [_called(name, [*operands, *passed])]
            if at >= len(tokens) or tokens[at][1] == ")":
                return passed[0], at
            at += 1

    def _operand(self, tokens: list[Token], at: int, dot: Any, depth: int) -> tuple[Any, int]:
        kind, text = tokens[at]
        at += 1
        value: Any
        if kind == "text":
            try:
                value = json.loads(text, strict=False)
            except ValueError:
                raise BadRequest(f"template: cannot read {text[:20]}") from None
        elif kind == "raw":
            value = text
        elif kind == "number":
            value = int(text[:20])
        elif kind == "dot":
            value = dot
        elif kind == "field":
            value = _field(dot, text[1:])
        elif kind == "variable":
            name, _, path = text.partition(".")
            if name not in self._variables:
                raise BadRequest(f"template: undefined variable {name!r}")
            value = _field(self._variables[name], path) if path else self._variables[name]
        elif kind == "word" and text in _WORDS:
            value = _WORDS[text]
        elif (kind, text) == ("mark", "("):
            value, at = self._commands(tokens, at, dot, depth + 1)
            if at >= len(tokens):
                raise BadRequest("template: unclosed left paren")
            at += 1
        elif kind == "word":
            raise BadRequest(f"template: function {text!r} not defined")
        else:
            raise BadRequest(f"template: unexpected {text!r}")
        return value, at


def _called(name: str, operands: list[Any]) -> Any:
    if name not in _FUNCTIONS:
        if len(operands) != 1:
            raise BadRequest("template: " + ("can't give argument to non-function" if operands else "missing value"))
        return operands[0]
    function, least, most = _FUNCTIONS[name]
    if not least <= len(operands) <= most:
        raise BadRequest(f"template: wrong number of args for {name}: got {len(operands)}")
    try:
        return function(*operands)
    except TypeError:
        raise BadRequest(f"template: {name}: wrong type of value") from None


def _declared(tokens: list[Token]) -> tuple[list[str], list[Token]]:
    """Variables that are given a value (`$x :=`, `$i, $x :=`, `$x =`), and what they are given."""
    for at, token in enumerate(tokens[:4]):
        if token in (("mark", ":="), ("mark", "=")):
            names = [text for kind, text in tokens[:at] if kind == "variable" and "." not in text]
            if not names or len(names) > 2 or at != 2 * len(names) - 1:
                raise BadRequest(f"template: unexpected {token[1]!r}")
            return names, tokens[at + 1 :]
    return [], tokens


def _field(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise BadRequest(f"template: can't evaluate field {name}")
        value = value[name]
    return value
