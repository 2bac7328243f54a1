"""One golden scenario as a test: replay it, record the figures, hold them against required.toml."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from meshtest.conformance import line
from meshtest.replay import replay
from meshtest.requirements import on_purpose, requirements
from meshtest.scenario import Scenario, load

UNBUILT_EVENTUALLY_S = 0.3
"""Scenarios of which little is required yet do not wait long for what will not come."""


def check_scenario(name: str, request: pytest.FixtureRequest) -> None:
    required = requirements()[name]
    scenario = load(name)
    if required.percent < 50:
        scenario = hurried(scenario)
    for number, step in scenario.numbered():
        if number in on_purpose(name):
            step.pop("eventually", None)  # what differs on purpose is not waited for
    outcome = replay(scenario)
    outcome.on_purpose = on_purpose(name)
    request.node.user_properties.append(
        ("conformance", [name, outcome.matched, outcome.total, outcome.percent, required.percent])
    )
    print(line(outcome))
    for remark in outcome.remarks:
        print(f"  {remark}")
    for mismatch in outcome.mismatches:
        print(f"  step {mismatch.number} [{mismatch.row}] {mismatch.request}: {mismatch.differences[0]}")
    missed = {mismatch.number for mismatch in outcome.mismatches}
    assert outcome.percent >= required.percent, f"{outcome.matched}/{outcome.total} match, see the steps above"
    assert outcome.percent_of_built >= required.built, f"{outcome.percent_of_built:.1f} % of what is built match"
    healed = on_purpose(name) - missed
    assert not healed, f"steps {sorted(healed)} match again: take them off tests/conformance/differences.toml"


def hurried(scenario: Scenario) -> Scenario:
    def step(one: dict[str, Any]) -> dict[str, Any]:
        changed = {**one, "eventually": UNBUILT_EVENTUALLY_S} if "eventually" in one else one
        return {**changed, "sleep": 0} if "sleep" in changed else changed

    return dataclasses.replace(scenario, steps=[step(one) for one in scenario.steps])
