"""What one client asked and was told: the rows of a history, and a file of them (one JSON array a line)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

WRITES = frozenset({"put", "cas", "delete", "delete-cas", "acquire", "release"})


class Seen(NamedTuple):
    """A key as a read showed it."""

    value: str
    modify_index: int
    session: str = ""


@dataclass(slots=True)
class Operation:
    """One request. Times are seconds on one clock; `returned` is None when no answer says what became of a write.

    `ok` is a write's answer (None: unknown); `seen` is a read's (None: no such key). Values are unique in a history.
    `index` is what `cas` and `delete-cas` compare with; it came from a read of the key, or is 0.
    `life` tells the processes of one server apart (it moves with each start); `store_index` is X-Consul-Index.
    """

    kind: str
    key: str
    invoked: float
    returned: float | None
    client: int = 0
    value: str = ""
    index: int = 0
    session: str = ""
    ok: bool | None = None
    seen: Seen | None = None
    mode: str = "default"
    server: str = ""
    life: int = 0
    store_index: int = 0

    def __str__(self) -> str:
        end = "?" if self.returned is None else f"{self.returned:.6f}"
        words = [f"{self.invoked:.6f}..{end}", f"client {self.client}", self.kind, self.key]
        if self.server:
            words.insert(2, f"at {self.server}/{self.life}")
        if self.kind == "get":
            words += [f"({self.mode})", "->", str(self.seen and tuple(self.seen))]
            return " ".join(words)
        if self.value:
            words.append(self.value)
        if self.kind in ("cas", "delete-cas"):
            words.append(f"if index is {self.index}")
        if self.session:
            words.append(f"session {self.session[:8]}")
        return " ".join([*words, "->", "unknown" if self.ok is None else str(self.ok).lower()])


_NAMES = [field.name for field in fields(Operation)]


def save(operations: Iterable[Operation], path: Path) -> None:
    with path.open("w") as out:
        out.write(json.dumps(_NAMES) + "\n")
        for operation in operations:
            out.write(json.dumps(astuple(operation)) + "\n")


def load(path: Path) -> list[Operation]:
    """Raises: ValueError when the file is not a history."""
    with path.open() as lines:
        names: Any = json.loads(next(lines, "null"))
        if not isinstance(names, list):
            raise ValueError(f"{path}: not a history")
        found = []
        for line in lines:
            row = dict(zip(names, json.loads(line), strict=True))
            row["seen"] = Seen(*row["seen"]) if row["seen"] is not None else None
            found.append(Operation(**row))
        return found
