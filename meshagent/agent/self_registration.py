"""What the leader keeps in the catalog for a server: its node, the service `consul` and the check `serfHealth`.

Source: surface rows O1, O7, E4, K22. Pure. The leader writes `server_registration` before anything else; the address is
all it says of the node, because the rest (`node_row`: id, tagged addresses, meta) is the agent's own anti-entropy to
tell. The meta keys of `consul` are read by clients, upgrade tools and dashboards: they may only grow.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent import CONSUL_VERSION
from meshagent.catalog import commands
from meshagent.catalog.model import Check, Locality, Node, Service

if TYPE_CHECKING:
    from meshagent.agent.config import Config

__all__ = [
    "SERF_ALIVE",
    "SERF_DEAD",
    "SERF_HEALTH",
    "ServerFacts",
    "node_row",
    "own_node",
    "serf_health",
    "server_registration",
    "tagged_addresses",
]

SERF_HEALTH = "serfHealth"
SERF_ALIVE = "Agent alive and reachable"
SERF_DEAD = "Agent not live or unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What gossip says of a server; ports are 0 where nothing listens."""

    node_id: str
    name: str
    address: str
    datacenter: str
    server_port: int
    grpc_port: int = 0
    grpc_tls_port: int = 0
    non_voter: bool = False
    read_replica: bool = False
    version: str = CONSUL_VERSION
    raft_version: int = 3
    serf_protocol: tuple[int, int, int] = (2, 1, 5)
    """Current, lowest and highest."""


def server_registration(facts: ServerFacts) -> commands.Register:
    """The rows of a live server, as one command."""
    node = Node(id=facts.node_id, name=facts.name, address=facts.address, datacenter=facts.datacenter)
    current, lowest, highest = facts.serf_protocol
    meta = {
        "non_voter": _bool(facts.non_voter),
        "raft_version": str(facts.raft_version),
        "read_replica": _bool(facts.read_replica),
        "serf_protocol_current": str(current),
        "serf_protocol_max": str(highest),
        "serf_protocol_min": str(lowest),
        "version": facts.version,
    }
    if facts.grpc_port > 0:
        meta["grpc_port"] = str(facts.grpc_port)
    if facts.grpc_tls_port > 0:
        meta["grpc_tls_port"] = str(facts.grpc_tls_port)
    service = Service(id="consul", name="consul", port=facts.server_port, meta=dict(sorted(meta.items())))
    return commands.Register(node, service, (serf_health(facts.name, alive=True),), skip_node_update=True)


def serf_health(node: str, *, alive: bool) -> Check:
    """The check that tells whether gossip reaches a node."""
    return Check(
        node=node,
        check_id=SERF_HEALTH,
        name="Serf Health Status",
        status="passing" if alive else "critical",
        output=SERF_ALIVE if alive else SERF_DEAD,
    )


def node_row(
    *,
    node_id: str,
    name: str,
    datacenter: str,
    address: str,
    address_wan: str = "",
    tagged: Mapping[str, str] | None = None,
    meta: Mapping[str, str] | None = None,
    segment: str = "",
    version: str = CONSUL_VERSION,
    locality: Locality | None = None,
) -> Node:
    """What an agent says of its own node; `tagged` and `meta` are the operator's (`tagged_addresses`, `node_meta`)."""
    return Node(
        id=node_id,
        name=name,
        address=address,
        datacenter=datacenter,
        tagged_addresses={**tagged_addresses(address, address_wan or address), **(tagged or {})},
        meta={**(meta or {}), "consul-network-segment": segment, "consul-version": version},
        locality=locality,
    )


def own_node(config: Config, node_id: str) -> Node:
    """What an agent of that configuration says of its own node."""
    network = config.network
    return node_row(
        node_id=node_id,
        name=config.node_name,
        datacenter=config.datacenter,
        address=network.advertise_addr,
        address_wan=network.advertise_addr_wan,
        tagged=dict(network.tagged_addresses),
        meta=config.node_meta,
        locality=Locality(region=config.locality.region, zone=config.locality.zone) if config.locality.region else None,
    )


def tagged_addresses(lan: str, wan: str) -> dict[str, str]:
    """Under `lan` and `wan`, and under `_ipv4` or `_ipv6` of each (surface row O1)."""
    tagged: dict[str, str] = {}
    for scope, address in (("lan", lan), ("wan", wan)):
        tagged[scope] = address
        try:
            tagged[f"{scope}_ipv{ipaddress.ip_address(address).version}"] = address
        except ValueError:
            continue
    return tagged


def _bool(value: bool) -> str:
    return "true" if value else "false"
