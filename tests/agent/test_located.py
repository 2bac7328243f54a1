from __future__ import annotations

from meshagent.agent.hcl import parse_hcl
from meshagent.agent.located import place_of


def test_a_path_leads_to_the_line_or_to_the_nearest_thing_around() -> None:
    root = parse_hcl('a = 1\nservice {\n  name = "x"\n  tags = ["p",\n    "q"]\n}\n', "f.hcl").root
    assert str(place_of(root, ["a"])) == "f.hcl:1:1"
    assert str(place_of(root, ["service", 0, "name"])) == "f.hcl:3:3"
    assert str(place_of(root, ["service", "tags", 1])) == "f.hcl:5:5"
    assert str(place_of(root, ["service", "tags", 7])) == "f.hcl:4:3"
    assert str(place_of(root, ["service", "nothing", "deep"])) == "f.hcl:2:1"
    assert str(place_of(root, ["a", "b"])) == "f.hcl:1:1"
    assert place_of({"plain": 1}, ["plain"]) is None
