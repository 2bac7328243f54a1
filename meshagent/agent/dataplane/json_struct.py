"""`google.protobuf.Struct`: JSON inside protocol buffers, as a kind of field. Pure.

Source: protobuf.dev/reference/protobuf/google.protobuf (Struct, Value, ListValue). Values refer to themselves, which
the tables of `protobuf.py` do not; reading one is not needed here. Bound: `MAX_DEPTH`, as Google's own library has it.
What may change here: nothing, the format is fixed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from meshagent.agent.grpc.protobuf import Kind, tagged, varint
from meshagent.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_DEPTH", "STRUCT"]

#: What readers take: Google's refuse messages that are nested deeper than 100.
MAX_DEPTH = 30

_VARINT, _FIXED64, _LENGTH = 0, 1, 2
_NULL, _NUMBER, _TEXT, _BOOL, _STRUCT, _LIST = 1, 2, 3, 4, 5, 6


def _struct(value: Mapping[str, Any], depth: int) -> bytes:
    entries = (
        tagged(1, _LENGTH, str(key).encode()) + tagged(2, _LENGTH, _value(value[key], depth)) for key in sorted(value)
    )
    return b"".join(tagged(1, _LENGTH, entry) for entry in entries)


def _value(value: Any, depth: int) -> bytes:
    """A value says which of its kinds it is, so that zeros are written, too."""
    if depth >= MAX_DEPTH:
        raise LocalProtocolError(f"a value is nested deeper than {MAX_DEPTH}")
    match value:
        case None:
            return tagged(_NULL, _VARINT, b"\0")
        case bool():
            return tagged(_BOOL, _VARINT, varint(int(value)))
        case int() | float():
            return tagged(_NUMBER, _FIXED64, struct.pack("<d", value))
        case str():
            return tagged(_TEXT, _LENGTH, value.encode())
        case Mapping():
            return tagged(_STRUCT, _LENGTH, _struct(value, depth + 1))
        case list() | tuple():
            inner = b"".join(tagged(1, _LENGTH, _value(one, depth + 1)) for one in value)
            return tagged(_LIST, _LENGTH, inner)
        case _:
            return tagged(_TEXT, _LENGTH, str(value).encode())


def _decode(_: Any) -> Any:
    raise RemoteProtocolError("protobuf: a Struct is not read here")


#: A mapping from texts to what JSON has.
STRUCT = Kind(_LENGTH, lambda value: _struct(value, 0), _decode, lambda value: not value)
