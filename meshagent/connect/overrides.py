"""What a proxy wants otherwise in its discovery chain, and the hash that tells such a chain from others.

Source: surface row DC1; `hashstructure`. What may change here: another override is another field, and another line of
the hash, in Consul's order.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from meshagent.durations import parse_duration
from meshagent.hashstructure import hash_struct, hash_text, hash_value

__all__ = ["Overrides", "customization"]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the asking proxy wants otherwise; "" and None leave it."""

    protocol: str = ""
    connect_timeout: str = ""
    mesh_gateway: str = ""


def customization(overrides: Overrides, effective: AbstractSet[str]) -> str:
    """Consul's CustomizationHash, eight hexadecimal digits, of the overrides that changed something; "" if none did."""
    if not effective:
        return ""
    chosen = {name: getattr(overrides, name) for name in effective}
    mode = hash_struct("MeshGatewayConfig", [("Mode", hash_text(chosen.get("mesh_gateway", "")))])
    fields = [
        ("OverrideMeshGateway", mode),
        ("OverrideProtocol", hash_text(chosen.get("protocol", ""))),
        ("OverrideConnectTimeout", hash_value(parse_duration(chosen.get("connect_timeout", "0s")))),
    ]
    return f"{hash_struct('', fields):x}"[:8]
