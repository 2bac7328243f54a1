"""What a real Envoy holds under our agent is what one held under a real Consul; all scenarios: recorded_envoys.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from meshtest import ROOT
from meshtest.envoyreplay import deviations, scenarios
from meshtest.envoyscenarios import played

#: Layer 4, routes of their own, everything that is about who may.
HERE = ("tcp", "router", "http-l7-intentions")


@pytest.mark.parametrize("name", HERE)
def test_the_envoys_hold_what_was_recorded(name: str, tmp_path: Path) -> None:
    [recorded] = [one for one in scenarios() if one.name == name]
    allowed = deviations(ROOT / "tests" / "connect" / "envoy" / "deviations.toml")
    assert played(recorded, tmp_path, [row for row in allowed if row.scenario == name]) == []
