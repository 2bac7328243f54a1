"""A server that dies at any point of a cluster's life: nothing acknowledged is lost, and the cluster goes on.

Here every EVERYth point of each server, others each day; `python tests/sim/soak.py --points` goes through all of them
in some minutes. A failure names its point; `soak.py --points <point>` replays it.
"""

from __future__ import annotations

from datetime import date

import pytest
from meshtest.sim.cluster import Broken
from meshtest.sim.script import NAMES, ScriptServer, all_points, parse_point, run_point

EVERY = 25
OFFSET = date.today().toordinal() % EVERY


@pytest.mark.parametrize("name", NAMES)
def test_a_death_is_survived(name: str) -> None:
    mine = [point for point in all_points() if point.server == name]
    broken = []
    for point in mine[OFFSET::EVERY]:
        try:
            script = run_point(point)
        except Broken as error:
            broken.append(str(error))
        else:
            assert any(note.endswith(f" {name} crashes") for note in script.cluster.trace), f"{point} is not reached"
    assert broken == []


def test_the_script_has_what_is_tried() -> None:
    script = run_point(None)
    servers = script.cluster.servers
    points = all_points()
    assert len(points) > 1500
    assert {(point.server, point.kind) for point in points} == {(n, kind) for n in NAMES for kind in ("step", "disk")}
    assert max(script.cluster.leaders) > 1, "leadership was handed over"
    assert servers["n1"].log._catching_up.receiver.begun > 0, "the newcomer was given the state"
    assert any("snap" in name for name in servers["s1"].disk.names())
    assert servers["s3"].starts == 2
    assert isinstance(servers["s1"], ScriptServer)
    assert parse_point(str(points[7])) == points[7]
