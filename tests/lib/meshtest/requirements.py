"""What the conformance tests demand: the least percentage of each scenario, and the differences on purpose.

tests/conformance/required.toml holds the first (it only goes up: `python -m meshtest.conformance --ratchet` raises it),
tests/conformance/differences.toml the second; docs/generate.py puts both into docs/compatibility.md. Reads and writes
files.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meshtest import ROOT
from meshtest.replay import Outcome

REQUIRED = ROOT / "tests" / "conformance" / "required.toml"
DIFFERENCES = ROOT / "tests" / "conformance" / "differences.toml"


@dataclass(frozen=True, slots=True)
class Requirement:
    percent: float
    built: float = 0.0  # of the steps whose endpoint is there (those not built yet answer 501)
    reason: str = ""  # why `percent` is below 95


@dataclass(frozen=True, slots=True)
class Difference:
    """Steps of a scenario that differ from Consul on purpose."""

    scenario: str
    steps: tuple[int, ...]
    row: str
    what: str
    reason: str


def requirements() -> dict[str, Requirement]:
    return {name: Requirement(**row) for name, row in tomllib.loads(REQUIRED.read_text()).items()}


def differences() -> list[Difference]:
    rows = tomllib.loads(DIFFERENCES.read_text()).get("difference", [])
    return [Difference(**{**row, "steps": tuple(row["steps"])}) for row in rows]


def on_purpose(scenario: str) -> frozenset[int]:
    """The steps of a scenario that are listed as differing on purpose."""
    return frozenset(step for one in differences() if one.scenario == scenario for step in one.steps)


def ratchet(outcomes: Iterable[Outcome], path: Path = REQUIRED) -> list[str]:
    """Raise the required percentages to what was reached; never lower one. Says what it raised."""
    text, raised = path.read_text(), []
    for outcome in outcomes:
        for field, figure in (("percent", outcome.percent), ("built", outcome.percent_of_built)):
            reached = math.floor(figure)
            line = re.search(rf"^{re.escape(outcome.name)} = {{.*\b{field} = (\d+)", text, re.MULTILINE)
            if line and reached > int(line[1]):
                text = text[: line.start(1)] + str(reached) + text[line.end(1) :]
                raised.append(f"{outcome.name}: {field} {line[1]} -> {reached}")
    path.write_text(text)
    return raised
