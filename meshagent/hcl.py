r"""HCL 1 and JSON texts as values that know their place.

Source: github.com/hashicorp/hcl branch hcl1 (README and spec in its `README.md`, MPL) and RFC 8259. Example:

    datacenter = "dc1"                        # an attribute
    ports { http = 0x2134 }                   # a block
    service { tags = ["a", "b",] }            # a repeated block makes a list
    check "label" { args = [<<-EOF            // a label nests: check -> label -> {...}
        text
        EOF
    ] }

Why our own: an error in a configuration must name file, line and column. python-hcl2 8.1 reads HCL 2 only (it refuses
`ports { http = 1 dns = 2 }`) and needs 1.9 s for its grammar; pyhcl 0.4 reads HCL 1 but keeps no places, loses the last
newline of a heredoc and takes 50 ms to load. This is about two hundred lines and loads in 2 ms.

A `.hcl` text that begins with `{` is read as JSON, as upstream does. Of a key given twice the last value counts (two
objects make a list); `Parsed.warnings` tells. What may change: nothing that HCL 1 accepts may be refused.
"""

from __future__ import annotations

import bisect
import re
from typing import Any, NamedTuple

import msgspec

from meshagent.errors import ConfigError
from meshagent.located import Blocks, Items, Place, Table

__all__ = ["MAX_DEPTH", "Parsed", "parse_hcl", "parse_json"]

#: Deeper nesting is refused: no configuration needs it, and Python's stack ends at a thousand.
MAX_DEPTH = 100

_SKIP = re.compile(r"(?:[ \t\r\n\ufeff]+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_JSON_SKIP = re.compile(r"[ \t\r\n]+")
_IDENTIFIER = re.compile(r"[^\W\d][\w.-]*")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_JSON_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_HEREDOC = re.compile(r"<<(-?)([^\n]*)\n")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


class Parsed(NamedTuple):
    """A whole text: its keys, and what is allowed but hardly meant."""

    root: Table
    warnings: list[str]


def parse_hcl(text: str, file: str) -> Parsed:
    """The keys of an HCL 1 text.

    Raises:
        ConfigError: `<file>:<line>:<column>: <what was expected>`.
    """
    reader = _Hcl(text, file)
    reader.skip()
    return parse_json(text, file) if reader.sees("{") else Parsed(reader.document(), reader.warnings)


def parse_json(text: str, file: str) -> Parsed:
    """The keys of a JSON text.

    Raises:
        ConfigError: as `parse_hcl`, also when the text is not an object.
    """
    reader = _Json(text.removeprefix("\ufeff"), file)
    reader.skip()
    place = reader.place(reader.at)
    value = reader.value(0)
    reader.skip()
    if reader.at < len(reader.text):
        raise reader.wrong("nothing may follow the closing bracket")
    if not isinstance(value, Table):
        raise ConfigError(f"{place}: a configuration is an object: {{ ... }}")
    return Parsed(value, reader.warnings)


class _Reader:
    """A text, how far it is read, and what both grammars share."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.warnings: list[str] = []
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, at: int) -> Place:
        line = bisect.bisect_right(self.lines, at)
        return Place(self.file, line, at - self.lines[line - 1] + 1)

    def wrong(self, message: str, at: int | None = None) -> ConfigError:
        return ConfigError(f"{self.place(self.at if at is None else at)}: {message}")

    def sees(self, word: str) -> bool:
        return self.text.startswith(word, self.at)

    def take(self, word: str) -> bool:
        if not self.sees(word):
            return False
        self.at += len(word)
        return True

    def found(self) -> str:
        """What stands here, for messages."""
        if self.at >= len(self.text):
            return "the end of the file"
        word = _IDENTIFIER.match(self.text, self.at)
        return repr(word[0] if word else self.text[self.at])

    def number(self, pattern: re.Pattern[str]) -> int | float | None:
        match = pattern.match(self.text, self.at)
        if match is None:
            return None
        end = match.end()
        if end < len(self.text) and (self.text[end].isalnum() or self.text[end] in "_."):
            rest = re.compile(r"[\w.]*").match(self.text, end)
            raise self.wrong(f'a value like "{match[0]}{rest[0] if rest else ""}" needs quotes')
        try:
            value = _number(match[0], octal=pattern is _NUMBER)
        except ValueError:
            raise self.wrong(f"{match[0][:40]} is not a number") from None
        self.at = end
        return value


def _number(text: str, *, octal: bool) -> int | float:
    digits = text.removeprefix("-")
    if digits[:2] in {"0x", "0X"}:
        value = int(digits, 16)
    elif not digits.isdigit():
        return float(text)
    else:
        value = int(digits, 8) if octal and len(digits) > 1 and digits[0] == "0" else int(digits)
    return -value if text[0] == "-" else value


class _Json(_Reader):
    """RFC 8259."""

    def skip(self) -> None:
        if match := _JSON_SKIP.match(self.text, self.at):
            self.at = match.end()

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self.wrong("nested too deep")
        if self.sees("{"):
            return self.object(depth)
        if self.sees("["):
            return self.list(depth)
        if self.sees('"'):
            return self.string()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return value
        number = self.number(_JSON_NUMBER)
        if number is None:
            raise self.wrong(f"expected a value, found {self.found()}")
        return number

    def object(self, depth: int) -> Table:
        table = Table(self.place(self.at))
        self.take("{")
        self.skip()
        if self.take("}"):
            return table
        while True:
            place = self.place(self.at)
            if not self.sees('"'):
                raise self.wrong(f"expected a key in double quotes, found {self.found()}")
            key = self.string()
            self.skip()
            if not self.take(":"):
                raise self.wrong(f"expected ':' after the key {key!r}, found {self.found()}")
            self.skip()
            if key in table:
                self.warnings.append(f"{place}: {key!r} was given before in {table.places[key]}; the last one counts")
            table.put(key, self.value(depth + 1), place)
            self.skip()
            if self.take("}"):
                return table
            if not self.take(","):
                raise self.wrong(f"expected ',' or '}}' after the value of {key!r}, found {self.found()}")
            self.skip()

    def list(self, depth: int) -> Items:
        items = Items()
        self.take("[")
        self.skip()
        if self.take("]"):
            return items
        while True:
            place = self.place(self.at)
            items.put(self.value(depth + 1), place)
            self.skip()
            if self.take("]"):
                return items
            if not self.take(","):
                raise self.wrong(f"expected ',' or ']' in a list, found {self.found()}")
            self.skip()

    def string(self) -> str:
        match = _JSON_STRING.match(self.text, self.at)
        if match is None:
            raise self.wrong("this string is not closed on its line")
        try:
            value: str = msgspec.json.decode(match[0].encode(), type=str)
        except (msgspec.DecodeError, UnicodeError):
            raise self.wrong("this string holds an escape that JSON does not know") from None
        self.at = match.end()
        return value


class _Hcl(_Reader):
    """HCL 1."""

    def skip(self) -> None:
        if match := _SKIP.match(self.text, self.at):
            self.at = match.end()
        if self.sees("/*"):
            raise self.wrong("this comment is not closed")

    def document(self) -> Table:
        table = Table(self.place(self.at))
        while self.at < len(self.text):
            self.item(table, 0)
            self.skip()
        return table

    def object(self, depth: int) -> Table:
        start = self.at
        table = Table(self.place(start))
        self.take("{")
        self.skip()
        while not self.take("}"):
            if self.at >= len(self.text):
                raise self.wrong("this '{' is not closed", start)
            self.item(table, depth)
            self.skip()
            if self.take(","):
                self.skip()
        return table

    def item(self, table: Table, depth: int) -> None:
        """`key = value`, `key { ... }` or `key "label" { ... }`."""
        if depth > MAX_DEPTH:
            raise self.wrong("nested too deep")
        place = self.place(self.at)
        key = self.key()
        labels: list[tuple[str, Place]] = []
        self.skip()
        while not self.sees("{") and not self.sees("="):
            here = self.place(self.at)
            if self.at >= len(self.text) or (not self.sees('"') and not _IDENTIFIER.match(self.text, self.at)):
                raise self.wrong(f"expected '=' or '{{' after {key!r}, found {self.found()}")
            labels.append((self.key(), here))
            self.skip()
        if labels and not self.sees("{"):
            raise self.wrong(f"expected '{{' after the label {labels[-1][0]!r}, found {self.found()}")
        self.take("=")
        self.skip()
        value = self.value(depth + 1 + len(labels))
        for label, here in reversed(labels):
            outer = Table(here)
            outer.put(label, _block(value, here), here)
            value = outer
        self.add(table, key, value, place)

    def add(self, table: Table, key: str, value: Any, place: Place) -> None:
        old = table.get(key)
        if isinstance(value, Table):
            if isinstance(old, Blocks):
                old.put(value, place)
                return
            value = _block(value, place)
        if key in table:
            self.warnings.append(f"{place}: {key!r} was given before in {table.places[key]}; the last one counts")
        table.put(key, value, place)

    def key(self) -> str:
        if self.sees('"'):
            return self.string()
        match = _IDENTIFIER.match(self.text, self.at)
        if match is None:
            raise self.wrong(f"expected a key, found {self.found()}")
        self.at = match.end()
        return match[0]

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self.wrong("nested too deep")
        if self.sees("{"):
            return self.object(depth)
        if self.sees("["):
            return self.list(depth)
        if self.sees('"'):
            return self.string()
        if self.sees("<<"):
            return self.heredoc()
        number = self.number(_NUMBER)
        if number is not None:
            return number
        match = _IDENTIFIER.match(self.text, self.at)
        if match and match[0] in {"true", "false"}:
            self.at = match.end()
            return match[0] == "true"
        if match:
            raise self.wrong(f"expected a value, found {match[0]}; a text needs quotes")
        raise self.wrong(f"expected a value, found {self.found()}")

    def list(self, depth: int) -> Items:
        start = self.at
        items = Items()
        self.take("[")
        self.skip()
        while not self.take("]"):
            if self.at >= len(self.text):
                raise self.wrong("this '[' is not closed", start)
            place = self.place(self.at)
            items.put(self.value(depth + 1), place)
            self.skip()
            if not self.take(",") and not self.sees("]") and self.at < len(self.text):
                raise self.wrong(f"expected ',' or ']' in a list, found {self.found()}")
            self.skip()
        return items

    def string(self) -> str:
        """A quoted text; what stands in `${ }` is kept as it is, also quotes and line ends."""
        start, self.at = self.at, self.at + 1
        parts: list[str] = []
        braces = 0
        while True:
            char = self.text[self.at : self.at + 1]
            if not char or (char == "\n" and not braces):
                raise self.wrong("this string is not closed on its line", start)
            if braces:
                braces += (char == "{") - (char == "}")
            elif char == '"':
                self.at += 1
                return "".join(parts)
            elif char == "\\":
                parts.append(self.escape())
                continue
            elif self.sees("${"):
                braces, char = 1, "${"
            parts.append(char)
            self.at += len(char)

    def escape(self) -> str:
        match = _ESCAPE.match(self.text, self.at)
        if match is None:
            raise self.wrong(f"a string cannot hold the escape {self.text[self.at : self.at + 2]!r}")
        named, octal, *codes = match.groups()
        code = int(octal, 8) if octal else int(next((c for c in codes if c), "0"), 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise self.wrong(f"{match[0]} is not a character")
        self.at = match.end()
        return _ESCAPED[named] if named else chr(code)

    def heredoc(self) -> str:
        """`<<EOF` up to a line that is only `EOF`; after `<<-EOF` that line's indentation is taken off all lines."""
        match = _HEREDOC.match(self.text, self.at)
        marker = match[2].strip() if match else ""
        if match is None or not marker:
            raise self.wrong("'<<' must be followed by a word and a new line")
        end = re.compile(rf"^([ \t]*){re.escape(marker)}\r*$", re.MULTILINE).search(self.text, match.end())
        if end is None:
            raise self.wrong(f"no line holds the {marker!r} that ends this text")
        body = self.text[match.end() : end.start()]
        self.at = end.end()
        indent = end[1]
        lines = body.split("\n")
        if not match[1] or not indent or not all(line.startswith(indent) for line in lines[:-1]):
            return body
        return "\n".join(line.removeprefix(indent) for line in lines)


def _block(value: Table, place: Place) -> Blocks:
    blocks = Blocks()
    blocks.put(value, place)
    return blocks
