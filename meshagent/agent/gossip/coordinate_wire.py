"""A coordinate as the payload of an acknowledged ping: byte 1 (the version), then a msgpack map.

Source: surface row S51; captured in tests/data/golden/gossip. What may change here: nothing; a new form needs a new
version byte.
"""

from __future__ import annotations

from meshagent.agent.gossip import fields as go
from meshagent.catalog.model import Coordinate
from meshagent.errors import RemoteProtocolError

__all__ = ["decode_coordinate", "encode_coordinate"]

_VERSION = 1


def encode_coordinate(coordinate: Coordinate) -> bytes:
    """The payload of an ack."""
    return bytes((_VERSION,)) + go.pack(
        {
            "Adjustment": coordinate.adjustment,
            "Error": coordinate.error,
            "Height": coordinate.height,
            "Vec": list(coordinate.vec),
        }
    )


def decode_coordinate(payload: bytes) -> Coordinate:
    """The coordinate in the payload of an ack. Raises RemoteProtocolError."""
    if not payload or payload[0] != _VERSION:
        raise RemoteProtocolError("coordinate of an unknown version")
    fields = go.read_map(payload[1:])
    vec = go.listing(fields, b"Vec")
    if len(vec) > 64 or not all(type(part) in (int, float) for part in vec):
        raise RemoteProtocolError("Vec holds something other than a few numbers")
    try:
        return Coordinate(
            vec=tuple(float(part) for part in vec),
            error=go.real(fields, b"Error"),
            adjustment=go.real(fields, b"Adjustment"),
            height=go.real(fields, b"Height"),
        )
    except OverflowError:
        raise RemoteProtocolError("a number of the coordinate is too large") from None
