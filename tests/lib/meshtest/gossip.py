"""The recorded gossip of real peers (tests/data/golden/gossip): lines, and trees turned back into Go's values."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from meshtest import ROOT

__all__ = ["plain", "reactions", "recorded", "serf_parts"]

_GOLDEN = ROOT / "tests" / "data" / "golden" / "gossip"


@functools.cache
def recorded() -> tuple[dict[str, Any], ...]:
    """Every captured message."""
    return tuple(json.loads(line) for line in (_GOLDEN / "messages.jsonl").read_text().splitlines())


@functools.cache
def reactions() -> tuple[dict[str, Any], ...]:
    """Crafted input and what real peers did with it."""
    return tuple(json.loads(line) for line in (_GOLDEN / "reactions.jsonl").read_text().splitlines())


def plain(value: Any) -> Any:
    """A value of a recorded tree as the codec sees it: `$hex` as bytes, `$slots` as a list."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "$hex" in value:
        return bytes.fromhex(value["$hex"])
    if "$slots" in value:
        slots: list[Any] = [None] * value["$slots"]
        for number, part in value["filled"].items():
            slots[int(number)] = plain(part)
        return slots
    return {name: plain(part) for name, part in value.items()}


def serf_parts(tree: Any, open_: bool = True) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every serf message of a recorded tree, also those in payloads, and whether its bytes stand in the packet as
    they are: neither compressed nor encrypted."""
    if isinstance(tree, list):
        for part in tree:
            yield from serf_parts(part, open_)
    elif isinstance(tree, dict):
        open_ = open_ and tree.get("layer") not in ("compress", "encrypt", "stream-encrypt")
        if isinstance(tree.get("serf"), dict):
            yield tree["serf"], open_
        for part in tree.values():
            yield from serf_parts(part, open_)
