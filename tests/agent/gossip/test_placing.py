import random

from meshagent.agent.gossip.coordinate_wire import encode_coordinate
from meshagent.agent.gossip.placing import Placing
from meshagent.catalog.model import Coordinate

THERE = Coordinate(vec=(0.1, *[0.0] * 7))


def test_an_ack_moves_us_and_is_remembered() -> None:
    placing = Placing(random.Random(1), enabled=True)
    before = placing.payload()
    placing.acked("b", 0.2, encode_coordinate(THERE))
    assert placing.known == {"b": THERE}
    assert placing.payload() == encode_coordinate(placing.vivaldi.coordinate) != before
    placing.forget(["b", "unknown"])
    assert placing.known == {}


def test_what_cannot_be_used_is_counted() -> None:
    placing = Placing(random.Random(1), enabled=True)
    for rtt, payload in (
        (0.2, b"\x02"),
        (0.2, encode_coordinate(Coordinate(vec=()))),
        (11.0, encode_coordinate(THERE)),
    ):
        placing.acked("b", rtt, payload)
    placing.acked("b", 0.2, b"")
    assert (placing.known, placing.counts["dropped.coordinate"]) == ({}, 3)


def test_off_it_tells_and_learns_nothing() -> None:
    placing = Placing(random.Random(1), enabled=False)
    placing.acked("b", 0.2, encode_coordinate(THERE))
    assert (placing.payload(), placing.known) == (b"", {})
