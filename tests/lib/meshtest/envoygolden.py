"""The recorded resources of a real Consul that drives Envoy, and the entries they came from.

Source: tests/data/golden/mesh/README.md (what is recorded, what is normalized).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshtest import ROOT

__all__ = ["TRUST_DOMAIN", "entries", "filters", "lookup", "recorded", "unordered"]

TRUST_DOMAIN = "<td>.consul"


@functools.cache
def recorded(name: str) -> Any:
    """One recording."""
    return json.loads((ROOT / "tests" / "data" / "golden" / "mesh" / "xds" / f"{name}.json").read_text())


def entries(name: str) -> dict[tuple[str, str], Entry]:
    """The config entries of a recording by kind and name, as a server keeps them."""
    found: dict[tuple[str, str], Entry] = {}
    for step in recorded(name)["inputs"]:
        if step["path"] == "/v1/config":
            entry = parse(step["body"]).normalised()
            found[entry.kind, entry.name] = entry
    return found


def filters(name: str, proxy: str, wanted: str) -> Iterator[Any]:
    """All filters of a name in the listeners of a recorded proxy."""
    return _named(recorded(name)["proxies"][proxy]["listeners"], wanted)


def _named(value: Any, wanted: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if value.get("name") == wanted and "typed_config" in value:
            yield value
        for part in value.values():
            yield from _named(part, wanted)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part, wanted)


def unordered(value: Any) -> Any:
    """The same with `principals` and `ids` sorted: Consul lists sources as they were written, we by name."""
    if isinstance(value, dict):
        return {
            key: sorted(map(unordered, part), key=str) if key in {"principals", "ids"} else unordered(part)
            for key, part in value.items()
        }
    return [unordered(one) for one in value] if isinstance(value, list) else value


def lookup(known: dict[tuple[str, str], Entry]) -> Lookup:
    """Entries as the compiler of chains finds them."""
    return Lookup(
        lambda kind, name: known.get((kind, name)),
        lambda kind: [one for key, one in sorted(known.items()) if key[0] == kind],
    )
