"""Servers of one datacenter find each other in the WAN pool by themselves: who is in the LAN pool is joined there.

So only one server of a datacenter has to be told of another datacenter. Source: Consul's flood joins (tag
`wan_join_port`, surface row S44; looked at every minute and when a server joins). Pure. What may change here: nothing
that operators count on.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.gossip.node import Address

__all__ = ["FLOOD_S", "missing_in_wan"]

#: Consul's `serf_flood_interval`.
FLOOD_S = 60.0
_SERVER = "consul"


def missing_in_wan(lan: Iterable[Member], wan: Iterable[Member], datacenter: str) -> list[Address]:
    """Where to join servers that live in the LAN pool and are not known, or not alive, in the WAN pool."""
    there = {member.name for member in wan if member.status == Status.ALIVE}
    found: list[Address] = []
    for member in lan:
        tags = member.tags
        if member.status != Status.ALIVE or tags.get("role") != _SERVER or tags.get("dc") != datacenter:
            continue
        port = tags.get("wan_join_port", "")
        if f"{member.name}.{datacenter}" not in there and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
            found.append((member.addr, int(port)))
    return found
