"""Surface row A2: what is told of the machine has Consul's shape on any machine."""

import json
from pathlib import Path

from meshagent.agent import host_facts

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "http" / "agent-self-shape.json"
TYPES = {"number": (int, float), "string": str}


def test_every_field_of_a_consul_agent_is_there(tmp_path):
    wanted = json.loads(GOLDEN.read_text())["steps"][1]["response"]["json"]
    shown = host_facts.host_facts(str(tmp_path), 5)
    for part in ("Memory", "Host", "Disk"):
        for name, kind in wanted[part].items():
            assert isinstance(shown[part][name], TYPES[kind]), name
    for name, kind in wanted["CPU"][0].items():
        assert isinstance(shown["CPU"][0][name], list if isinstance(kind, list) else TYPES[kind]), name
    assert shown["CollectionTime"] == 5
    assert shown["Errors"] is None


def test_a_part_that_cannot_be_told_is_named(tmp_path):
    shown = host_facts.host_facts(str(tmp_path / "nowhere"), 5)
    assert shown["Disk"] is None
    assert shown["Errors"][0].startswith("Disk: ")
    assert shown["Memory"]["total"] > 0
