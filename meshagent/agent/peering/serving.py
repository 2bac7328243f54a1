"""I/O edge: what peers call on the gRPC ports: exchanges secrets, hands streams over to the leader's keeper.

Strangers get an error that does not tell what was wrong; their messages have `SMALL` bytes at most until they are
known. Secrets are compared as digests in constant time.

Source: surface rows X37, PE1, M60; developer.hashicorp.com/consul/docs/east-west/cluster-peering/tech-specs. What may
change here: bounds.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meshagent.agent.grpc.connection import FAILED_PRECONDITION, PERMISSION_DENIED, UNAVAILABLE, Received
from meshagent.agent.grpc.methods import DIALOGUE, UNARY, Method, Refused, Service
from meshagent.agent.peering.messages import (
    EXCHANGE,
    EXCHANGE_METHOD,
    GIVEN,
    SERVICE_NAME,
    STREAM_METHOD,
    Given,
    Open,
    decode_message,
)
from meshagent.agent.peering.operations import new_secret
from meshagent.catalog.peering.commands import PeeringExchange
from meshagent.catalog.peering.model import secret_digest
from meshagent.errors import Denied, MeshError, NoLeader, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.agent.peering.service import PeeringService

__all__ = ["SERVICE", "SMALL"]

log = logging.getLogger("agent.peering")

#: Until it is known who is there: an `Open` or an exchange of secrets has some 200 bytes.
SMALL = 16 * 1024


async def exchange(agent: Agent, call: Call, message: bytes) -> bytes:
    """Give a secret for streams for one that came in a token, once."""
    asked = EXCHANGE.decode(message)
    secret = new_secret()
    try:
        good = await agent.write(PeeringExchange(asked.peer_id, secret_digest(asked.secret), secret_digest(secret)))
    except MeshError as error:
        raise Refused(UNAVAILABLE, str(error)) from error
    if not good:
        log.warning("a secret to establish a peering was refused: remote=%s", call.remote)
        agent.metrics.incr("peering.refused")
        raise Refused(PERMISSION_DENIED, "invalid peering establishment secret")
    return GIVEN.encode(Given(secret))


async def stream(agent: Agent, call: Call) -> None:
    """A stream of a peer, until it ends."""
    service: PeeringService = agent.extras["peering"]
    first = await call.next()
    if not isinstance(first, Received):
        return
    opening = decode_message(first.message)
    if not isinstance(opening, Open) or not opening.peer_id:
        raise RemoteProtocolError("a stream begins with who opens it")
    try:
        await service.keeper.serve(call, opening)
    except Denied as error:
        agent.metrics.incr("peering.refused")
        log.warning("a stream of a peer was refused: remote=%s: %s", call.remote, error)
        raise
    except NoLeader as error:
        raise Refused(FAILED_PRECONDITION, str(error)) from error


SERVICE = Service(
    SERVICE_NAME,
    (
        Method(EXCHANGE_METHOD.rpartition("/")[2], UNARY, exchange, max_message=SMALL),
        Method(STREAM_METHOD.rpartition("/")[2], DIALOGUE, stream, max_message=SMALL),
    ),
    present=lambda agent: "peering" in agent.extras,
)
