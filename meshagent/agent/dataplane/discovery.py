"""`ServerDiscoveryService`: which servers there are, told again whenever one comes or goes.

Source: surface row X31; github.com/hashicorp/consul-server-connection-manager (MPL-2.0), which reads it. The servers
are the instances of the service `consul` that are not critical: what the leader writes when gossip gains or loses one.
What may change here: what else is said of a server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from meshagent.agent.dataplane.callers import follow, require_some_token
from meshagent.agent.dataplane.messages import SERVERS, WATCH_SERVERS, Server, Servers

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.catalog.store import Store

__all__ = ["servers_of", "watch_servers"]

_SERVICE = "consul"


def servers_of(store: Store, *, wan: bool) -> Servers:
    """The servers that are alive, by id; with `wan` at their addresses for other datacenters."""
    found = []
    for entry in store.registrations.entries(_SERVICE):
        if any(check.status == "critical" for check in entry.checks):
            continue
        node = entry.node
        address = (node.tagged_addresses or {}).get("wan", node.address) if wan else node.address
        found.append(Server(node.id or node.name, address, (entry.service.meta or {}).get("version", "")))
    return Servers(tuple(sorted(found, key=lambda one: one.id)))


async def watch_servers(agent: Agent, call: Call, message: bytes) -> AsyncIterator[bytes]:
    """`WatchServers`: a stream."""
    wan = WATCH_SERVERS.decode(message).wan
    topics = (("service-health", _SERVICE),)
    async for told in follow(
        agent, call.token, require_some_token, topics, lambda: SERVERS.encode(servers_of(agent.store, wan=wan))
    ):
        yield told
