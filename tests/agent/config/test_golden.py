"""Every agent configuration of the golden scenarios must load (tests/data/golden)."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.config import Host, load

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
SCENARIOS = [
    pytest.param(scenario["config"], id=f"{path.parent.name}-{path.stem}")
    for path in sorted(GOLDEN.glob("*/*.json"))
    if isinstance(scenario := json.loads(path.read_text()), dict) and "config" in scenario
]


@pytest.mark.parametrize("config", SCENARIOS)
def test_a_golden_configuration_loads(config: dict[str, Any], tmp_path: Path) -> None:
    ports = count(20_000)
    text = json.dumps(config).replace("<dir>", str(tmp_path))
    while '"<port:' in text:
        before, _, rest = text.partition('"<port:')
        text = f"{before}{next(ports)}{rest.partition('>')[2][1:]}"
    while "<port:" in text:
        before, _, rest = text.partition("<port:")
        text = f"{before}{next(ports)}{rest.partition('>')[2]}"
    file = tmp_path / "agent.json"
    file.write_text(text)
    loaded = load([str(file)], host=Host("host", list))
    assert loaded.config.server == config["server"]
    assert loaded.config.node_name == config.get("node_name", "host")
    assert loaded.config.network.advertise_addr == "127.0.0.1"
    assert [str(place) for place in loaded.config.network.http] == [f"127.0.0.1:{loaded.config.ports.http}"]
    assert loaded.config.performance.raft_multiplier == config["performance"]["raft_multiplier"]


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 20
