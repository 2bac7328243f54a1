"""Whom a pool lets in: Consul's rules about the members of a LAN and of a WAN pool.

Source: surface row S47; Consul's words, which operators search for. Asked before a node becomes a member and before two
pools are merged. Pure. What may change here: rules may be added; a refused member is never seen by anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["Gate", "Holder", "lan_gate", "open_gate", "wan_gate"]

#: Node id -> name of the live member that has it.
Holder = Callable[[str], str | None]
#: (name, tags of a newcomer) -> why it is refused, or None.
Gate = Callable[[str, Mapping[str, str]], str | None]


def open_gate(_name: str, _tags: Mapping[str, str]) -> str | None:
    """Everybody may come in."""
    return None


def lan_gate(datacenter: str, own_name: str, own_id: str, holder: Holder) -> Gate:
    """Members of one datacenter, no two live ones with one node id; who is not of Consul has no tags to judge."""

    def refuse(name: str, tags: Mapping[str, str]) -> str | None:
        node_id = tags.get("id", "")
        if node_id and name != own_name:
            if node_id == own_id:
                return f"Member '{name}' has conflicting node ID '{node_id}' with this agent's ID"
            other = holder(node_id)
            if other is not None and other != name:
                return f"Member '{name}' has conflicting node ID '{node_id}' with member '{other}'"
        if tags.get("role") in ("consul", "node") and tags.get("dc", datacenter) != datacenter:
            return f"Member '{name}' part of wrong datacenter '{tags['dc']}'"
        return None

    return refuse


def wan_gate(name: str, tags: Mapping[str, str]) -> str | None:
    """Only servers."""
    return None if tags.get("role") == "consul" else f"Member '{name}' is not a server"
