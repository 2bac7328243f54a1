"""Who is in the cluster, as endpoints ask it, and what a member says of itself.

Source: surface rows A3, A18, A20; section 9.3 for the tags, which clients and other members parse. `Membership` is what
endpoints need of gossip; `gossip/pools.py` is the one. What may change here: tags may be added, never renamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meshagent import CONSUL_VERSION
from meshagent.agent.gossip.member import Member

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.catalog.model import Coordinate

__all__ = ["Member", "Membership", "member_tags"]


class Membership(Protocol):
    """What gossip knows and does; `wan` asks about the pool of servers of all datacenters."""

    def members(self, *, wan: bool = False) -> list[Member]:
        """All members, by name."""

    async def join(self, address: str, *, wan: bool = False) -> None:
        """Join the pool of whoever answers at `host[:port]`. Raises InternalError in Consul's words."""

    async def force_leave(self, name: str, *, prune: bool = False, wan: bool = False) -> None:
        """Take a failed member for left. Raises InternalError for an unknown one."""

    def coordinate(self, *, wan: bool = False) -> Coordinate:
        """Where this agent is among the others."""

    def stats(self, *, wan: bool = False) -> dict[str, str]:
        """Facts for `agent/self`, under serf's names."""


def member_tags(config: Config, node_name: str, node_id: str, *, wan: bool = False) -> dict[str, str]:
    """What a member says of itself in gossip; `expect` and `bootstrap` say how its cluster begins."""
    tags = {
        "acls": "1" if config.acl.enabled else "0",
        "build": f"{CONSUL_VERSION}:",
        "dc": config.datacenter,
        "id": node_id,
        "role": "consul" if config.server else "node",
        "segment": "",
        "vsn": "2",
        "vsn_max": "3",
        "vsn_min": "2",
    }
    if not config.server:
        return tags
    network = config.network
    tags |= {"ft_fs": "1", "ft_si": "1", "raft_vsn": str(config.raft_protocol)}
    if network.server is not None:
        tags["port"] = str(network.server.port)
    if network.grpc:
        tags["grpc_port"] = str(network.grpc[0].port)
    if network.grpc_tls:
        tags["grpc_tls_port"] = str(network.grpc_tls[0].port)
    if config.bootstrap or config.bootstrap_expect == 1:
        tags["bootstrap"] = "1"
    elif config.bootstrap_expect > 1:
        tags["expect"] = str(config.bootstrap_expect)
    if not wan and network.serf_wan is not None:
        tags["wan_join_port"] = str(network.serf_wan.port)
    return dict(sorted(tags.items()))
