"""The recorded HTTP scenarios against a fresh agent each (tests/data/golden/http, required.toml)."""

from __future__ import annotations

import pytest
from meshtest.goldentest import check_scenario
from meshtest.scenario import load, scenario_names


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", [name for name in scenario_names() if load(name).kind == "http"])
def test_scenario(name: str, request: pytest.FixtureRequest) -> None:
    check_scenario(name, request)
