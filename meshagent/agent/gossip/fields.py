"""Reading msgpack structs of a peer, field by field, with the reactions of Go's codec.

Source: surface row S3; tests/data/golden/gossip/README.md section 4 (keys match exactly, unknown ones are skipped, a
missing key or nil is the zero value, the last of a repeated key counts, text and byte strings are the same thing, an
integer may come in any width, trailing bytes are ignored) and reactions.jsonl, where three live peers show it.

A struct is read as `dict[bytes, object]` by `read_map`; one function for each Go type then takes a field from it. What
does not fit its type drops the whole message: `RemoteProtocolError`. Sizes of arrays and maps are limited before they
are allocated, however deep they lie. May be changed: how it is done. Must not: what is accepted.
"""

from __future__ import annotations

from typing import Any

import msgpack

from meshagent.errors import RemoteProtocolError

__all__ = [
    "MAX_ELEMENTS",
    "Fields",
    "as_map",
    "flag",
    "i64",
    "listing",
    "mapping",
    "pack",
    "raw",
    "raw_or_none",
    "read_map",
    "read_value",
    "read_value_end",
    "real",
    "signed",
    "text",
    "u8",
    "u16",
    "u32",
    "u64",
    "unpacker",
]

Fields = dict[bytes, Any]

#: Elements of one array or map anywhere in a message. Memberlist's own bodies have at most 8 keys; msgpack allocates
#: what a header promises, at every level of nesting, so this times its depth (512) bounds what a packet can cost.
MAX_ELEMENTS = 1024

#: Old msgpack spec, keys as given: text and bytes are both "raw", integers take their shortest unsigned form, which
#: every peer reads in signed fields too (golden README section 4).
_PACKER = msgpack.Packer(use_bin_type=False, autoreset=True)


def pack(value: Any) -> bytes:
    """One value in the old dialect; dicts keep their order, so give the keys in byte order."""
    packed: bytes = _PACKER.pack(value)
    return packed


def signed(value: int) -> bytes:
    """A signed Go integer as current peers write it: fixint, then d1, d2, d3."""
    if 0 <= value < 0x80:
        return value.to_bytes(1, "big")
    for size, lead in ((2, b"\xd1"), (4, b"\xd2"), (8, b"\xd3")):
        if -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
            return lead + value.to_bytes(size, "big", signed=True)
    raise ValueError(f"{value} is not an int64")


def unpacker(max_bytes: int, *, max_elements: int = MAX_ELEMENTS) -> msgpack.Unpacker:
    """An incremental reader with this module's rules, for streams; keys and text come as bytes."""
    return msgpack.Unpacker(
        raw=True,
        strict_map_key=False,
        max_buffer_size=max_bytes,
        max_array_len=max_elements,
        max_map_len=max_elements,
        max_str_len=max_bytes,
        max_bin_len=max_bytes,
        max_ext_len=max_bytes,
    )


def read_value(data: bytes, *, max_elements: int = MAX_ELEMENTS) -> Any:
    """The first value of `data`; what follows it is ignored. Raises RemoteProtocolError."""
    return read_value_end(data, max_elements=max_elements)[0]


def read_value_end(data: bytes, *, max_elements: int = MAX_ELEMENTS) -> tuple[Any, int]:
    """The first value of `data`, and where it ends. Raises RemoteProtocolError."""
    try:
        return msgpack.unpackb(
            data, raw=True, strict_map_key=False, max_array_len=max_elements, max_map_len=max_elements
        ), len(data)
    except msgpack.ExtraData as extra:
        return extra.unpacked, len(data) - len(extra.extra)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException, RecursionError) as error:
        raise RemoteProtocolError(f"msgpack: {error}") from None


def read_map(data: bytes, order: tuple[bytes, ...] = (), *, max_elements: int = MAX_ELEMENTS) -> Fields:
    """The struct at the start of `data`.

    `order`, if given, lists the keys in Go's declaration order: peers take a struct as an array of its values too.
    Raises RemoteProtocolError: not a map, cut short, or hostile.
    """
    return as_map(read_value(data, max_elements=max_elements), order)


def as_map(value: Any, order: tuple[bytes, ...] = ()) -> Fields:
    """A decoded value as the fields of a struct; nil is an empty one. Raises RemoteProtocolError."""
    if type(value) is dict:
        return value
    if value is None:
        return {}
    if order and type(value) is list:
        return dict(zip(order, value, strict=False))
    raise RemoteProtocolError(f"msgpack: a map was due, not {type(value).__name__}")


def text(fields: Fields, key: bytes) -> str:
    """A Go string. Raises RemoteProtocolError: another type, or not UTF-8 (we show names as JSON)."""
    value = fields.get(key)
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RemoteProtocolError(f"{key.decode()}: not UTF-8") from None
    if value is None:
        return ""
    raise _wrong(key, "text", value)


def raw(fields: Fields, key: bytes) -> bytes:
    """A Go []byte; nil reads as empty, an array of small integers is the same to Go. Raises RemoteProtocolError."""
    value = fields.get(key)
    if type(value) is bytes:
        return value
    if value is None:
        return b""
    if type(value) is list and all(type(item) is int and 0 <= item < 256 for item in value):
        return bytes(value)
    raise _wrong(key, "bytes", value)


def raw_or_none(fields: Fields, key: bytes) -> bytes | None:
    """A Go []byte whose nil is told from an empty one. Raises RemoteProtocolError."""
    return None if fields.get(key) is None else raw(fields, key)


def listing(fields: Fields, key: bytes) -> list[Any]:
    """A Go slice; nil is empty. Raises RemoteProtocolError."""
    value = fields.get(key)
    if value is None:
        return []
    if type(value) is list:
        return value
    raise _wrong(key, "an array", value)


def mapping(fields: Fields, key: bytes) -> Fields:
    """A Go map or struct; nil is empty. Raises RemoteProtocolError."""
    value = fields.get(key)
    if value is None:
        return {}
    if type(value) is dict:
        return value
    raise _wrong(key, "a map", value)


def real(fields: Fields, key: bytes) -> float:
    """A Go float64; integers are taken too. Raises RemoteProtocolError."""
    value = fields.get(key)
    if value is None:
        return 0.0
    if type(value) in (int, float):
        return float(value)
    raise _wrong(key, "a number", value)


def _integer(fields: Fields, key: bytes, low: int, high: int) -> int:
    value = fields.get(key)
    if type(value) is int:
        if low <= value <= high:
            return value
        raise RemoteProtocolError(f"{key.decode(errors='replace')}: {value} is out of range")
    if value is None:
        return 0
    raise _wrong(key, "an integer", value)


def u8(fields: Fields, key: bytes) -> int:
    return _integer(fields, key, 0, 0xFF)


def u16(fields: Fields, key: bytes) -> int:
    return _integer(fields, key, 0, 0xFFFF)


def u32(fields: Fields, key: bytes) -> int:
    return _integer(fields, key, 0, 0xFFFF_FFFF)


def u64(fields: Fields, key: bytes) -> int:
    return _integer(fields, key, 0, 0xFFFF_FFFF_FFFF_FFFF)


def i64(fields: Fields, key: bytes) -> int:
    """A signed Go integer (int, int64)."""
    return _integer(fields, key, -(1 << 63), (1 << 63) - 1)


def flag(fields: Fields, key: bytes) -> bool:
    """A Go bool. Raises RemoteProtocolError."""
    value = fields.get(key)
    if value is None:
        return False
    if type(value) is bool:
        return value
    raise _wrong(key, "a boolean", value)


def _wrong(key: bytes, due: str, value: object) -> RemoteProtocolError:
    return RemoteProtocolError(f"{key.decode(errors='replace')}: {due} was due, not {type(value).__name__}")
