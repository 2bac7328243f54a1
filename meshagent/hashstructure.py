"""Numbers that name values, as Go programs make them with hashstructure: opaque to clients, the same as Consul's.

Source: github.com/mitchellh/hashstructure (MIT), format 1 with FNV-1 64: a struct is the hash of its type's name XOR
its fields, a field the ordered hash of name and value, a list the ordered hash of its elements. What may change here:
nothing, or what was hashed once is named otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["hash_struct", "hash_text", "hash_value", "ordered"]

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1


def hash_struct(type_name: str, fields: Iterable[tuple[str, int]]) -> int:
    """Of a struct whose type has this name ("" if it has none), from (name, hash of the value) of each field."""
    total = hash_text(type_name)
    for name, value in fields:
        total ^= ordered(hash_text(name), value)
    return total


def hash_value(value: Any) -> int:
    """Of a string, bool, number, null, list or map."""
    if isinstance(value, str):
        return hash_text(value)
    if isinstance(value, bool):
        return _fnv(b"\x01" if value else b"\x00")
    if value is None:
        return _fnv(bytes(8))
    if isinstance(value, int):
        return _fnv((value & _MASK).to_bytes(8, "little"))
    if isinstance(value, float):
        return _fnv(struct.pack("<d", value))
    total = 0
    if isinstance(value, Mapping):
        for key, inner in value.items():
            total ^= ordered(hash_text(key), hash_value(inner))
        return total
    for inner in value:
        total = ordered(total, hash_value(inner))
    return total


def hash_text(text: str) -> int:
    """Of a string."""
    return _fnv(text.encode("utf-8", "surrogatepass"))


def ordered(first: int, second: int) -> int:
    """Of two hashes, in this order."""
    return _fnv(struct.pack("<QQ", first, second))


def _fnv(data: bytes) -> int:
    value = _OFFSET
    for byte in data:
        value = (value * _PRIME & _MASK) ^ byte
    return value
