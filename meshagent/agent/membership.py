"""I/O edge: who is in the cluster, as `agent/members` tells it, and the agent that is alone.

Source: surface rows A3, A18, A20; section 9.3 for the tags, which clients and other members parse. `Membership` is what
endpoints need of gossip. `Alone` is that of an agent without peers: it knows itself, and every join fails as it would
if nobody answered. What may change here: tags may be added, never renamed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from meshagent import CONSUL_VERSION
from meshagent.agent.checks.dial import describe
from meshagent.agent.definitions import multierror
from meshagent.agent.gossip.member import Member
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.config import Config

__all__ = ["Alone", "Member", "Membership", "alone", "member_tags"]

_CONNECT_S = 10.0


class Membership(Protocol):
    """What gossip knows and does; `wan` asks about the pool of servers of all datacenters."""

    def members(self, *, wan: bool = False) -> list[Member]:
        """All members, by name."""

    async def join(self, address: str, *, wan: bool = False) -> None:
        """Join the pool of whoever answers at `host[:port]`. Raises InternalError in Consul's words."""

    async def force_leave(self, name: str, *, prune: bool = False, wan: bool = False) -> None:
        """Take a failed member for left. Raises InternalError for an unknown one."""

    def stats(self, *, wan: bool = False) -> dict[str, str]:
        """Facts for `agent/self`, under serf's names."""


class Alone:
    """The membership of an agent that knows nobody."""

    def __init__(self, lan: Member, wan: Member | None, *, default_port_lan: int, default_port_wan: int) -> None:
        self._pools = {False: lan, True: wan}
        self._ports = {False: default_port_lan, True: default_port_wan}

    def members(self, *, wan: bool = False) -> list[Member]:
        member = self._pools[wan]
        return [] if member is None else [member]

    async def join(self, address: str, *, wan: bool = False) -> None:
        host, port = _host_port(address, self._ports[wan])
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1) if host else []
        except OSError:
            found = []
        if not found:
            raise InternalError(multierror([f"Failed to resolve {address}: lookup {host}: no such host"]))
        problems = []
        for *_, place in found:
            ip, at = str(place[0]), int(place[1])
            where = f"[{ip}]:{at}" if ":" in ip else f"{ip}:{at}"
            try:
                async with asyncio.timeout(_CONNECT_S):
                    _, writer = await asyncio.open_connection(ip, at)
                writer.close()
                why = "gossip is not built yet in meshagent"
            except TimeoutError:
                why = f"dial tcp {where}: i/o timeout"
            except OSError as error:
                why = f"dial tcp {where}: connect: {describe(error)}"
            problems.append(f"Failed to join {where}: {why}")
        raise InternalError(multierror(problems))

    async def force_leave(self, name: str, *, prune: bool = False, wan: bool = False) -> None:
        if not any(member.name == name for member in self.members(wan=wan)):
            # Consul's words for the wide pool name nobody.
            raise InternalError(f"agent: No node found with name '{'' if wan else name}'")

    def stats(self, *, wan: bool = False) -> dict[str, str]:
        return {
            "coordinate_resets": "0",
            "encrypted": "false",
            "event_queue": "0",
            "event_time": "1",
            "failed": "0",
            "health_score": "0",
            "intent_queue": "0",
            "left": "0",
            "member_time": "1",
            "members": str(len(self.members(wan=wan))),
            "query_queue": "0",
            "query_time": "1",
        }


def alone(config: Config, node_name: str, node_id: str) -> Alone:
    """The membership of an agent of that configuration before it has met anybody."""
    network = config.network
    lan_port = network.serf_lan.port if network.serf_lan else config.ports.serf_lan
    lan = Member(
        name=node_name, addr=network.advertise_addr, port=lan_port, tags=member_tags(config, node_name, node_id)
    )
    wan = None
    if config.server and network.serf_wan is not None:
        wan = Member(
            name=f"{node_name}.{config.datacenter}",
            addr=network.advertise_addr_wan,
            port=network.serf_wan.port,
            tags=member_tags(config, node_name, node_id, wan=True),
        )
    return Alone(lan, wan, default_port_lan=config.ports.serf_lan, default_port_wan=config.ports.serf_wan)


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


def _host_port(address: str, default: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    host, colon, port = address.rpartition(":")
    if colon and port.isascii() and port.isdigit() and (host.count(":") == 0 or host.endswith("]")):
        return host.strip("[]"), int(port)
    return address.strip("[]"), default
