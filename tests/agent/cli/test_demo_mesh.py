"""What the demo of the mesh registers and writes; running it is tests/e2e/test_demo_mesh.py."""

from __future__ import annotations

from collections import Counter

import pytest

from meshagent.agent.cli.demo_mesh import CHAPTERS, entries, registrations, request, shown


def test_every_instance_has_a_sidecar_at_its_own_port() -> None:
    names = ("api-v1-a", "api-v1-b", "api-v2", "web")
    made = registrations(dict.fromkeys(names, 80), 9000, {name: 20000 + at for at, name in enumerate(names)})
    assert [one["ID"] for one in made] == list(names)
    ports = [one["Connect"]["SidecarService"]["Port"] for one in made]
    assert ports == [20000, 20001, 20002, 20003]
    assert made[-1]["Connect"]["SidecarService"]["Proxy"]["Upstreams"][0]["LocalBindPort"] == 9000


@pytest.mark.parametrize("share", [0, 10, 50])
def test_shares_are_whole(share: int) -> None:
    splitter = next(one for one in entries(share) if one["Kind"] == "service-splitter")
    assert sum(split["Weight"] for split in splitter["Splits"]) == 100


def test_figures_are_shown_in_order() -> None:
    assert shown(Counter({"b": 1, "a": 2})) == "2 x a, 1 x b"
    assert len({title for title, _ in CHAPTERS}) == len(CHAPTERS) == 5


def test_nobody_there_is_no_answer() -> None:
    status, reason = request(1, "/")
    assert status == 0
    assert reason
