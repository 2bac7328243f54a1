"""What real Envoys held under a real Consul, from the same inputs: our rendering gives the same messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from meshtest.envoyreplay import Recorded, deviations, differences, scenarios, snapshots

ALLOWED = deviations(Path(__file__).with_name("deviations.toml"))


@pytest.mark.parametrize("recorded", scenarios(), ids=lambda one: one.name)
async def test_the_resources_are_those_that_were_recorded(recorded: Recorded, tmp_path: Path) -> None:
    found = differences(recorded, await snapshots(recorded, tmp_path), tmp_path)
    allowed = [one for one in ALLOWED if one.scenario == recorded.name]
    left = [str(one) for one in found if not any(row.covers(one) for row in allowed)]
    assert not left, f"{len(left)} differences ({recorded.about}):\n" + "\n".join(left[:20])
    assert [row.path for row in allowed if not any(row.covers(one) for one in found)] == []


def test_what_differs_is_recorded() -> None:
    names = {one.name for one in scenarios()}
    assert {row.scenario for row in ALLOWED} <= names
