"""The mesh on a client agent: leafs that servers sign, under roots that are followed there.

It is made when somebody first asks for a certificate: most agents never do, and it takes memory. Source: surface rows
A27, A28, CN1, M60-M66. The private key of a leaf never leaves this host: what goes to a server is a signing request.

What may be changed: nothing about certificates; those rules are in `connect/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.rpc.questions import CA_ROOTS
from meshagent.dns.view import NotYet
from meshagent.errors import MeshError, RemoteProtocolError, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.mesh import Mesh
    from meshagent.agent.rpc.rows import Rows
    from meshagent.agent.rpc.upstream import Upstream
    from meshagent.connect.ca import SignedLeaf

__all__ = ["client_mesh"]

#: Method of a server, since 0.1 (`agent/mesh.py`).
SIGN = "ca-sign"


async def client_mesh(agent: Agent, upstream: Upstream, rows: Rows) -> Mesh:
    """The mesh of `agent`, started, with the roots of the servers. Raises Timeout, Unavailable."""
    from meshagent.agent.mesh import Mesh
    from meshagent.connect.ca import SignedLeaf

    async def sign(request: bytes) -> SignedLeaf:
        answer = await upstream.call(SIGN, request)
        try:
            return msgspec.msgpack.decode(answer, type=SignedLeaf)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"a signed certificate does not decode: {error}") from error

    def take() -> None:
        try:
            roots, _ = rows.need(CA_ROOTS, "")
        except (NotYet, MeshError):
            return
        agent.store.ca.mirror(roots.cluster_id, roots.roots)
        agent.store.flush()

    def changed() -> None:
        follow()
        rows.unpin(CA_ROOTS, "")  # it is pinned anew

    def follow() -> None:
        rows.watches.subscribe([rows.pin(CA_ROOTS, "")], changed)
        take()

    try:
        rows.need(CA_ROOTS, "")
    except NotYet as missing:
        await missing.ready()
    follow()
    if agent.store.ca.active is None:
        raise Unavailable("the servers have no certificate authority yet: try again in a moment")
    mesh = Mesh(agent, None, sign)
    mesh.start()
    return mesh
