"""The golden scenarios on disk: names, steps, and how many answers each holds.

Source: tests/data/golden/README.md. Reads files, nothing else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from meshtest import ROOT
from meshtest.clients import json_body
from meshtest.placeholders import Bindings

GOLDEN = ROOT / "tests" / "data" / "golden"


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    kind: str  # "http" or "dns"
    about: str
    config: dict[str, Any]
    ready: dict[str, Any]
    steps: list[dict[str, Any]]

    def numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every step that has an answer with its number: a `meanwhile` step comes after the one it runs within."""
        number = 0
        for step in self.steps:
            for one in (step, *step.get("meanwhile", ())):
                if "response" in one:
                    yield number, one
                number += 1

    @property
    def total(self) -> int:
        return sum(1 for _ in self.numbered())


def scenario_names() -> list[str]:
    return [path.stem for path in sorted((*GOLDEN.glob("http/*.json"), *GOLDEN.glob("dns/*.json")))]


def load(name: str) -> Scenario:
    for kind in ("http", "dns"):
        path = GOLDEN / kind / f"{name}.json"
        if path.exists():
            raw = json.loads(path.read_text())
            return Scenario(name, kind, raw["about"], raw["config"], raw["ready"], raw["steps"])
    raise FileNotFoundError(f"no scenario {name!r}; there are: {' '.join(scenario_names())}")


def request_body(request: dict[str, Any], bindings: Bindings) -> bytes | None:
    """The bytes of a recorded HTTP request's body; None: it has none."""
    if "json" in request:
        return json_body(bindings.fill(request["json"]))
    if "body" in request:
        return bindings.fill_text(request["body"]).encode()
    if "body_b64" in request:
        return base64.b64decode(request["body_b64"])
    if "body_repeat" in request:
        return request["body_repeat"]["text"].encode() * request["body_repeat"]["times"]
    return None
