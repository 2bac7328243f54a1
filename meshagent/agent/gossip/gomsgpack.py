"""msgpack as Go's peers write it: the old specification, structs as maps of field names, numbers of fixed widths.

Source: msgpack.org specification before 2013 (text and bytes are both "raw"); surface row S3; what live peers accept
and refuse is recorded in tests/data/golden/gossip. Writing: text and bytes as raw, integers as short as they get,
floats of 8 bytes, keys in the order given (byte order, as Go sorts them). Reading takes both specifications; unknown
keys are skipped, missing ones and nil are zero, a value of another kind or out of its range refuses the message.

Every reader raises RemoteProtocolError. What may change here: nothing that a peer sees.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgpack

from meshagent.errors import RemoteProtocolError

__all__ = [
    "Map",
    "flag",
    "listing",
    "mapping",
    "pack",
    "raw",
    "raw_or_none",
    "real",
    "signed",
    "text",
    "unpack",
    "unpack_map",
    "unsigned",
]

#: A decoded struct: field name -> value.
Map = dict[bytes, Any]


def pack(value: object) -> bytes:
    """`value` as Go's old encoder writes it: str and bytes as raw."""
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def unpack(data: bytes) -> tuple[Any, int]:
    """The first object of `data` (text and bytes as bytes) and where it ends; lengths are bounded by that of `data`."""
    try:
        return msgpack.unpackb(data, raw=True, strict_map_key=False), len(data)
    except msgpack.ExtraData as more:
        return more.unpacked, len(data) - len(more.extra)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise RemoteProtocolError(f"not msgpack: {type(error).__name__}") from None


def unpack_map(data: bytes) -> tuple[Map, int]:
    """The struct that `data` begins with, and where it ends."""
    value, end = unpack(data)
    if type(value) is not dict:
        _refuse("message", value)
    return value, end


def text(fields: Map, name: bytes) -> str:
    """A text field; it must be UTF-8."""
    try:
        return raw(fields, name).decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"{name.decode()} is not UTF-8") from None


def raw(fields: Map, name: bytes) -> bytes:
    """A field of bytes; nil is empty."""
    return raw_or_none(fields, name) or b""


def raw_or_none(fields: Map, name: bytes) -> bytes | None:
    """A field of bytes that tells nil from empty. An array of small integers is bytes too."""
    value = fields.get(name)
    if value is None or type(value) is bytes:
        return value
    if type(value) is list:
        try:
            return bytes(value)
        except (TypeError, ValueError):
            pass
    return _refuse(name.decode(), value)


def unsigned(fields: Map, name: bytes, bits: int) -> int:
    """A number of at most `bits` bits."""
    value = fields.get(name, 0)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 1 << bits:
        _refuse(name.decode(), value)
    return value


def signed(fields: Map, name: bytes) -> int:
    """A number of 64 bits with a sign."""
    value = fields.get(name, 0)
    if value is None:
        return 0
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        _refuse(name.decode(), value)
    return value


def flag(fields: Map, name: bytes) -> bool:
    """A truth value."""
    value = fields.get(name, False)
    if value is None:
        return False
    if type(value) is not bool:
        _refuse(name.decode(), value)
    return value


def real(fields: Map, name: bytes) -> float:
    """A floating number; integers are taken as well."""
    value = fields.get(name, 0.0)
    if value is None:
        return 0.0
    if type(value) not in (int, float):
        _refuse(name.decode(), value)
    return float(value)


def listing(fields: Map, name: bytes) -> list[Any]:
    """An array field; nil is empty."""
    value = fields.get(name)
    if value is None:
        return []
    if type(value) is not list:
        _refuse(name.decode(), value)
    return value


def mapping(fields: Map, name: bytes) -> Map:
    """A map field; nil is empty."""
    value = fields.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        _refuse(name.decode(), value)
    return value


def _refuse(name: str, value: object) -> NoReturn:
    raise RemoteProtocolError(f"{name} has a value that does not fit: {type(value).__name__}")
