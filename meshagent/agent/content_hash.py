"""The hash of a service's description, as `agent/service/:id` shows it and hash blocking compares it.

Source: surface row C14; github.com/mitchellh/hashstructure (MIT), format 1 with FNV-1 64: a struct is the XOR of its
fields, a field the ordered hash of name and value, a list the ordered hash of its elements. Consul hashes its API
object, and so do we, so that one that moved over from Consul keeps its hash; only proxies may differ, where we hash the
JSON object. Clients treat the value as opaque. What may change here: nothing, or every blocked client wakes once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["content_hash"]

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1

#: The fields of the object, with their zero values, in the order of Consul's API client.
_FIELDS: dict[str, Any] = {
    "Kind": "",
    "ID": "",
    "Service": "",
    "Tags": [],
    "Meta": {},
    "Port": 0,
    "Address": "",
    "SocketPath": "",
    "TaggedAddresses": {},
    "Weights": {"Passing": 0, "Warning": 0},
    "EnableTagOverride": False,
    "CreateIndex": 0,
    "ModifyIndex": 0,
    "ContentHash": "",
    "Proxy": None,
    "Connect": None,
    "PeerName": "",
}
#: Fields that are structs: the name of the type counts.
_STRUCTS = {"Weights": "AgentWeights", "Connect": "AgentServiceConnect"}


def content_hash(service: Mapping[str, Any]) -> str:
    """The hash of an agent service object (surface row O3) without its own `ContentHash`, in hexadecimal."""
    held = {name: service.get(name, zero) for name, zero in _FIELDS.items() if name != "ContentHash"}
    held["ContentHash"] = ""
    total = _text("AgentService")
    for name, value in held.items():
        total ^= _ordered(_text(name), _visit(value, name))
    return f"{total:x}"


def _visit(value: Any, name: str = "") -> int:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return _fnv(b"\x01" if value else b"\x00")
    if value is None:
        return _fnv(bytes(8))
    if isinstance(value, int):
        return _fnv((value & _MASK).to_bytes(8, "little"))
    if isinstance(value, float):
        return _fnv(struct.pack("<d", value))
    if isinstance(value, Mapping):
        total = _text(_STRUCTS[name]) if name in _STRUCTS else 0
        if name == "TaggedAddresses":
            for key, address in value.items():
                total ^= _ordered(_text(key), _text("ServiceAddress") ^ _visit(address))
            return total
        for key, inner in value.items():
            total ^= _ordered(_text(key), _visit(inner))
        return total
    total = 0
    for inner in value:
        total = _ordered(total, _visit(inner))
    return total


def _text(text: str) -> int:
    return _fnv(text.encode("utf-8", "surrogatepass"))


def _ordered(first: int, second: int) -> int:
    return _fnv(struct.pack("<QQ", first, second))


def _fnv(data: bytes) -> int:
    value = _OFFSET
    for byte in data:
        value = (value * _PRIME & _MASK) ^ byte
    return value
