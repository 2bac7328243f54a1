from __future__ import annotations

from meshagent.agent.decode import Problem
from meshagent.hcl import parse_hcl, parse_json
from meshagent.located import place_of, told


def test_a_path_leads_to_the_line_or_to_the_nearest_thing_around() -> None:
    root = parse_hcl('a = 1\nservice {\n  name = "x"\n  tags = ["p",\n    "q"]\n}\n', "f.hcl").root
    assert str(place_of(root, ["a"])) == "f.hcl:1:1"
    assert str(place_of(root, ["service", 0, "name"])) == "f.hcl:3:3"
    assert str(place_of(root, ["service", "tags", 1])) == "f.hcl:5:5"
    assert str(place_of(root, ["service", "tags", 7])) == "f.hcl:4:3"
    assert str(place_of(root, ["service", "nothing", "deep"])) == "f.hcl:2:1"
    assert str(place_of(root, ["a", "b"])) == "f.hcl:1:1"
    assert place_of({"plain": 1}, ["plain"]) is None


def test_an_object_counts_as_a_list_of_one() -> None:
    root = parse_json('{"service": {\n "name": "x"}}', "f.json").root
    assert str(place_of(root, ["service", 0, "name"])) == "f.json:2:2"


def test_a_problem_is_told_with_place_and_key() -> None:
    root = parse_json('{"service": {\n "check": {"prot": 1}}}', "f.json").root
    problem = Problem("", "invalid config key prot", unknown_key="prot")
    problem.path = [0, "check", "prot"]
    assert told(root, "service", "service", problem) == "f.json:2:12: service[0].check: invalid config key prot"
