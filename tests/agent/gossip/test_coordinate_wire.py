import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossip import recorded

from meshagent.agent.gossip.coordinate_wire import decode_coordinate, encode_coordinate
from meshagent.catalog.model import Coordinate
from meshagent.errors import RemoteProtocolError


def payloads(tree):
    if isinstance(tree, list):
        for part in tree:
            yield from payloads(part)
    elif isinstance(tree, dict):
        if "coordinate" in tree:
            yield bytes.fromhex(tree["$hex"]), tree["coordinate"]
        for part in tree.values():
            yield from payloads(part)


RECORDED = [found for line in recorded() for found in payloads(line["decoded"])]


def test_coordinates_of_real_peers() -> None:
    assert len(RECORDED) > 5
    for payload, shown in RECORDED:
        coordinate = decode_coordinate(payload)
        assert list(coordinate.vec) == shown["Vec"]
        assert (coordinate.error, coordinate.height) == (shown["Error"], shown["Height"])
        assert coordinate.adjustment == shown["Adjustment"]
        assert encode_coordinate(coordinate) == payload
        assert len(payload) == 130


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x02\x80",
        b"\x01",
        b"\x01\x90",
        b"\x01\x81\xa3Vec\x91\xa1x",
        b"\x01\x81\xa5Error\xa1x",
        b"\x01\x81\xa3Vec\xdc\x00\x41" + bytes(65),
    ],
)
def test_what_is_no_coordinate_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_coordinate(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_coordinate_or_refused(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode_coordinate(b"\x01" + data)


@given(st.lists(st.floats(allow_nan=False), min_size=8, max_size=8), st.floats(allow_nan=False))
def test_a_coordinate_survives(vec: list[float], number: float) -> None:
    coordinate = Coordinate(vec=tuple(vec), error=number, adjustment=number, height=number)
    assert decode_coordinate(encode_coordinate(coordinate)) == coordinate
