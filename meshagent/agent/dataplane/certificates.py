"""`ConnectCAService`: the roots that are trusted, and certificates for who asks with a request of his own.

Source: surface rows X33, M62, CN1. A certificate is for who may write the service that the request names. What may
change here: identities of other kinds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from meshagent.agent.dataplane.callers import follow, identify, require_some_service
from meshagent.agent.dataplane.messages import (
    ROOTS,
    SIGN_REQUEST,
    SIGN_RESPONSE,
    Root,
    Roots,
    SignResponse,
    timestamp_of,
)
from meshagent.agent.grpc.methods import Refused

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.agent.mesh import Mesh
    from meshagent.catalog.ca import ConnectCA

__all__ = ["roots_of", "sign", "watch_roots"]

_FAILED_PRECONDITION = 9


def _check_enabled(agent: Agent) -> None:
    if not agent.config.connect.enabled:
        raise Refused(_FAILED_PRECONDITION, "Connect must be enabled in order to use this endpoint")


def roots_of(table: ConnectCA) -> Roots:
    """All roots, the active one among them."""
    active = table.active
    found = tuple(
        Root(
            id=root.id,
            name=root.name,
            serial_number=root.serial,
            signing_key_id=root.signing_key_id,
            root_cert=root.root_cert,
            intermediate_certs=root.intermediates,
            active=root.active,
            rotated_out_at=timestamp_of(root.rotated_out_at),
        )
        for root in (table.roots[at] for at in sorted(table.roots))
    )
    return Roots(active.id if active is not None else "", table.trust_domain, found)


async def watch_roots(agent: Agent, call: Call, message: bytes) -> AsyncIterator[bytes]:
    """`WatchRoots`: a stream."""
    _check_enabled(agent)
    async for told in follow(
        agent, call.token, require_some_service, ("ca-roots",), lambda: ROOTS.encode(roots_of(agent.store.ca))
    ):
        yield told


async def sign(agent: Agent, call: Call, message: bytes) -> bytes:
    """`Sign`: a request in, a certificate out."""
    from meshagent.connect import certs, spiffe

    _check_enabled(agent)
    mesh: Mesh = agent.extras["mesh"]
    identity = await identify(agent, call.token, lambda access: None)
    request = SIGN_REQUEST.decode(message).csr.encode()
    asked = spiffe.parse(certs.requested_uri(request))
    if identity is not None:
        identity.access.require("service", "write", asked.name)
    if mesh.authority is None:
        raise Refused(_FAILED_PRECONDITION, "certificates are signed by servers")
    signed = await mesh.authority.sign(request)
    return SIGN_RESPONSE.encode(SignResponse(signed.chain))
