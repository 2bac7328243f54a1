"""The tables of the conformance suite are whole: every scenario once, every difference a real step with its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from meshtest.replay import Mismatch, Outcome
from meshtest.requirements import (
    REQUIRED,
    differences,
    ratchet,
    requirements,
)
from meshtest.scenario import load, scenario_names


def test_every_scenario_has_a_requirement() -> None:
    assert sorted(requirements()) == sorted(scenario_names())


@pytest.mark.parametrize("name", sorted(requirements()))
def test_less_than_95_percent_has_a_reason(name: str) -> None:
    required = requirements()[name]
    assert 0 <= required.percent <= 100
    assert required.percent >= 95 or required.reason


def test_differences_name_real_steps_and_give_a_reason() -> None:
    for one in differences():
        rows = {number: step["row"] for number, step in load(one.scenario).numbered()}
        assert one.steps
        assert one.what
        assert one.reason
        for step in one.steps:
            assert step in rows, f"{one.scenario} has no step {step}"
            assert one.row in rows[step], f"{one.scenario} step {step} is row {rows[step]}, not {one.row}"


def test_the_ratchet_only_goes_up(tmp_path: Path) -> None:
    copy = tmp_path / "required.toml"
    shutil.copy(REQUIRED, copy)
    before = copy.read_text()
    missed = [Mismatch(number, "", "", []) for number in range(50)]
    assert ratchet([Outcome("kv", 50, missed)], copy) == []
    assert copy.read_text() == before
    assert ratchet([Outcome("kv", 500, missed[:1])], copy) == (
        [] if requirements()["kv"].percent >= 99 else ["kv: percent 95 -> 99"]
    )
