"""The hash of a service's description, as `agent/service/:id` shows it and hash blocking compares it.

Source: surface row C14; `hashstructure`. Consul hashes its API object, and so do we, so that one that moved over from
Consul keeps its hash; only proxies may differ, where we hash the JSON object. Clients treat the value as opaque. What
may change here: nothing, or every blocked client wakes once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshagent.hashstructure import hash_struct, hash_text, hash_value, ordered

__all__ = ["content_hash"]

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
    return f"{hash_struct('AgentService', ((name, _field(name, value)) for name, value in held.items())):x}"


def _field(name: str, value: Any) -> int:
    if isinstance(value, Mapping) and name == "TaggedAddresses":
        total = 0
        for key, address in value.items():
            total ^= ordered(hash_text(key), hash_text("ServiceAddress") ^ hash_value(address))
        return total
    total = hash_value(value)
    return total ^ hash_text(_STRUCTS[name]) if isinstance(value, Mapping) and name in _STRUCTS else total
