from typing import Any

import pytest


def coord(x: float) -> dict[str, Any]:
    return {"Vec": [x, 0, 0, 0, 0, 0, 0, 0], "Error": 0.1, "Adjustment": 0.0, "Height": 0.0005}


NODES = [{"Node": "n1", "Segment": "", "Coord": coord(0)}, {"Node": "n2", "Segment": "", "Coord": coord(0.01)}]
SELF = {"Config": {"NodeName": "n1", "Datacenter": "dc1"}}
PLACES = [
    {"Datacenter": "dc1", "AreaID": "wan", "Coordinates": [{"Node": "n1", "Segment": "", "Coord": coord(0)}]},
    {"Datacenter": "dc2", "AreaID": "wan", "Coordinates": [{"Node": "w1", "Segment": "", "Coord": coord(0.1)}]},
]


@pytest.mark.parametrize("line", ["rtt n2", "rtt n2 n1"])
def test_two_nodes_of_the_datacenter(cli: Any, stub: Any, line: str) -> None:  # CL24
    stub.answer("coordinate/nodes", NODES)
    stub.answer("agent/self", SELF)
    ran = cli(line)
    assert (ran.status, ran.out) == (0, "Estimated n2 <-> n1 rtt: 11.000 ms (using LAN coordinates)\n")


@pytest.mark.parametrize("line", ["rtt -wan w1.dc2", "rtt -wan w1.dc2 n1.dc1"])
def test_two_servers_of_two_datacenters(cli: Any, stub: Any, line: str) -> None:
    stub.answer("coordinate/datacenters", PLACES)
    stub.answer("agent/self", SELF)
    ran = cli(line)
    assert (ran.status, ran.out) == (0, "Estimated w1.dc2 <-> n1.dc1 rtt: 101.000 ms (using WAN coordinates)\n")


def test_a_node_without_a_coordinate_is_named(cli: Any, stub: Any) -> None:
    stub.answer("coordinate/nodes", NODES)
    ran = cli("rtt n1 zz")
    assert (ran.status, ran.err) == (1, 'Could not find a coordinate for node "zz"\n')


def test_nodes_of_different_segments_cannot_be_compared(cli: Any, stub: Any) -> None:
    stub.answer("coordinate/nodes", [NODES[0], {**NODES[1], "Segment": "alpha"}])
    assert cli("rtt n1 n2").err == "Could not find a compatible coordinate for both nodes\n"


def test_coordinates_that_are_off_are_an_error(cli: Any, stub: Any) -> None:
    stub.answer("coordinate/nodes", b"Coordinate support disabled", status=401)
    assert cli("rtt n1 n2").err == (
        "Error getting coordinates: Unexpected response code: 401 (Coordinate support disabled)\n"
    )


@pytest.mark.parametrize("line", ["rtt", "rtt a b c", "rtt -wan a b"])
def test_wrong_words_are_named(cli: Any, stub: Any, line: str) -> None:
    stub.answer("coordinate/datacenters", PLACES)
    ran = cli(line)
    assert ran.status == 1
    assert ran.err
