"""The placeholders of the golden answers: what each stands for, and what it is bound to in one replay.

Source: tests/data/golden/README.md, "Placeholders". A new placeholder is one row in `PATTERNS` (free ones) or a
branch in `Bindings.match_text` (those that bind). Nothing here does I/O.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PLACEHOLDER = re.compile(
    r"<(?:(?P<bound>uuid|hash|token|index):(?P<number>\d+)|port:(?P<port>[a-z_]+)|hex:(?P<hex>\d+)|pem:(?P<pem>[A-Z ]+)"
    r"|(?P<free>index|time|serial|version|revision|number|ms|dir|any))>"
)
"""`<hidden>`, `<nil>` and the like are Consul's own text and stay as they are."""

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
ZERO_TIME = "0001-01-01T00:00:00Z"  # kept as it is in the recordings, so `<time>` never means it

# pattern in text, and whether a JSON number may stand there too
PATTERNS: dict[str, tuple[str, bool]] = {
    "index": (r"[1-9]\d*", True),
    "time": (TIME, False),
    "serial": (r"\d+", True),
    "version": (r"\d[0-9A-Za-z.+~-]*", False),
    "revision": (r"[0-9A-Za-z.+~-]*", False),
    "number": (r"-?\d+(?:\.\d+)?", True),
    "ms": (r"\d+(?:\.\d+)?(?:ns|us|µs|ms|s)?", True),
    "any": (r".*", True),
}
BOUND: dict[str, str] = {"uuid": UUID, "hash": r"[^\s\"]+", "token": r"[^\s\"]+", "index": r"[1-9]\d*"}


class Seen(NamedTuple):
    """One `<index:N>` met in an answer; `step` is the number of the step in the scenario."""

    number: int
    value: int
    step: int


@dataclass(slots=True)
class Bindings:
    """What the placeholders of one replay are bound to. `mark` and `rollback` make a trial match free of traces."""

    ports: dict[str, int] = field(default_factory=dict)
    directory: str = ""
    step: int = 0
    values: dict[tuple[str, int], Any] = field(default_factory=dict)
    indexes: list[Seen] = field(default_factory=list)
    weak: dict[tuple[str, int], Any] = field(default_factory=dict)
    _journal: list[tuple[str, int]] = field(default_factory=list)

    def mark(self) -> tuple[int, int]:
        return len(self._journal), len(self.indexes)

    def rollback(self, mark: tuple[int, int]) -> None:
        while len(self._journal) > mark[0]:
            del self.values[self._journal.pop()]
        del self.indexes[mark[1] :]

    # -- matching ------------------------------------------------------------------------------------------------

    def match(self, expected: str, actual: Any) -> bool:
        """A recorded string against an answer's string or number. Binds what it meets first."""
        whole = PLACEHOLDER.fullmatch(expected)
        if whole is None:
            if not isinstance(actual, str):
                return False
            return expected == actual if PLACEHOLDER.search(expected) is None else self._match_inside(expected, actual)
        return self._match_whole(whole, actual)

    def _match_whole(self, whole: re.Match[str], actual: Any) -> bool:
        is_number = isinstance(actual, (int, float)) and not isinstance(actual, bool)
        if whole["free"] == "any":
            return True
        if whole["bound"] == "index" and not (is_number or (isinstance(actual, str) and actual.isdecimal())):
            return False
        if whole["bound"]:
            if whole["bound"] == "uuid" and is_number:
                return False
            if not (isinstance(actual, str) or is_number):
                return False
            text = str(actual)
            return re.fullmatch(BOUND[whole["bound"]], text) is not None and self._bind(
                whole["bound"], int(whole["number"]), text
            )
        if whole["port"]:
            return not isinstance(actual, bool) and str(actual) == str(self.ports.get(whole["port"]))
        if whole["pem"]:
            return isinstance(actual, str) and is_pem(actual, whole["pem"])
        if whole["hex"]:
            return isinstance(actual, str) and re.fullmatch(_hex(int(whole["hex"])), actual) is not None
        if whole["free"] == "dir":
            return actual == self.directory
        pattern, number_too = PATTERNS[whole["free"]]
        if is_number:
            return number_too and re.fullmatch(pattern, _plain(actual)) is not None
        return isinstance(actual, str) and actual != ZERO_TIME and re.fullmatch(pattern, actual) is not None

    def _match_inside(self, expected: str, actual: str) -> bool:
        pattern, groups, at = [], [], 0
        for found in PLACEHOLDER.finditer(expected):
            pattern.append(re.escape(expected[at : found.start()]))
            at = found.end()
            if found["bound"]:
                groups.append((found["bound"], int(found["number"])))
                pattern.append(f"({BOUND[found['bound']]})")
            elif found["port"]:
                pattern.append(re.escape(str(self.ports.get(found["port"]))))
            elif found["pem"]:
                pattern.append(rf"-----BEGIN {found['pem']}-----[A-Za-z0-9+/=\s]+-----END {found['pem']}-----\n?")
            elif found["hex"]:
                pattern.append(_hex(int(found["hex"])))
            elif found["free"] == "dir":
                pattern.append(re.escape(self.directory))
            else:
                pattern.append(PATTERNS[found["free"]][0])
        pattern.append(re.escape(expected[at:]))
        match = re.fullmatch("".join(pattern), actual, re.DOTALL)
        if match is None:
            return False
        return all(self._bind(kind, number, text) for (kind, number), text in zip(groups, match.groups(), strict=True))

    def _bind(self, kind: str, number: int, text: str) -> bool:
        if kind == "index":  # judged at the end, by rank: see meshtest.indexes
            self.indexes.append(Seen(number, int(text), self.step))
            self._remember((kind, number), text)
            return True
        key = (kind, number)
        if key in self.values:
            return bool(self.values[key] == text)
        if any(other[0] == kind and value == text for other, value in self.values.items()):
            return False  # other numbers are other values
        self._remember(key, text)
        return True

    def _remember(self, key: tuple[str, int], text: str) -> None:
        if key not in self.values:
            self.values[key] = text
            self._journal.append(key)

    def bind_weakly(self, expected: Any, actual: Any) -> None:
        """After a mismatch: guess the bindings by position, so that one wrong step does not spoil all that follow.

        Guesses are used in requests only, never to judge an answer.
        """
        if isinstance(expected, dict) and isinstance(actual, dict):
            for key, value in expected.items():
                if key in actual:
                    self.bind_weakly(value, actual[key])
        elif isinstance(expected, list) and isinstance(actual, list):
            for one, other in zip(expected, actual, strict=False):
                self.bind_weakly(one, other)
        elif isinstance(expected, str) and isinstance(actual, (str, int)):
            whole = PLACEHOLDER.fullmatch(expected)
            if whole and whole["bound"] and re.fullmatch(BOUND[whole["bound"]], str(actual)):
                self.weak.setdefault((whole["bound"], int(whole["number"])), str(actual))

    # -- sending -------------------------------------------------------------------------------------------------

    def fill(self, value: Any) -> Any:
        """A request with its placeholders replaced. A whole-string port or index becomes a number in JSON."""
        if isinstance(value, dict):
            return {self.fill_text(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = PLACEHOLDER.fullmatch(value)
        filled = self.fill_text(value)
        number = whole is not None and (whole["port"] or whole["bound"] == "index") and filled.isdecimal()
        return int(filled) if number else filled

    def fill_text(self, text: str) -> str:
        return PLACEHOLDER.sub(self._filled, text)

    def _filled(self, found: re.Match[str]) -> str:
        if found["bound"]:
            key = (found["bound"], int(found["number"]))
            unknown = "1" if found["bound"] == "index" else "ffffffff-0000-4000-8000-000000000000"
            return str(self.values.get(key, self.weak.get(key, unknown)))
        if found["port"]:
            return str(self.ports.get(found["port"], 0))
        if found["free"] == "dir":
            return self.directory
        return found[0]


def is_pem(text: str, label: str) -> bool:
    """Whether `text` is one PEM block of that label around DER (RFC 7468: the first octet of a SEQUENCE is 0x30)."""
    block = re.fullmatch(rf"\s*-----BEGIN {label}-----([A-Za-z0-9+/=\s]+)-----END {label}-----\s*", text)
    if block is None:
        return False
    try:
        return base64.b64decode("".join(block[1].split()), validate=True)[:1] == b"\x30"
    except binascii.Error:
        return False


def _hex(count: int) -> str:
    return r"[0-9a-fA-F]{2}" + rf"(?::[0-9a-fA-F]{{2}}){{{count - 1}}}"


def _plain(number: float) -> str:
    return str(int(number)) if isinstance(number, int) or number.is_integer() else repr(number)
