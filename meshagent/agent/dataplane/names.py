"""`DNSService`: DNS messages over gRPC, answered as the ports for DNS answer them.

Source: surface rows D35, X34. What may change here: nothing that a resolver sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.dataplane.messages import QUERY, REPLY, Reply
from meshagent.agent.grpc.methods import Refused
from meshagent.errors import BadRequest, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.dns.server import DnsServer

__all__ = ["query"]

TCP, UDP = 1, 2
_INVALID_ARGUMENT = 3


async def query(agent: Agent, call: Call, message: bytes) -> bytes:
    """`Query`: a message in, a message out."""
    asked = QUERY.decode(message)
    if asked.protocol not in (TCP, UDP):
        raise BadRequest(f"error parsing protocol type: {asked.protocol} is neither TCP (1) nor UDP (2)")
    server: DnsServer | None = agent.extras.get("dns")
    if server is None:
        raise Unavailable("this agent answers no DNS (ports.dns)")
    answer = await server.query(asked.msg, tcp=asked.protocol == TCP)
    if answer is None:
        raise Refused(_INVALID_ARGUMENT, "not a DNS query")
    return REPLY.encode(Reply(answer))
