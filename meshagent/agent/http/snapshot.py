"""`/v1/snapshot`: the whole state as an archive, and back.

Source: surface rows SN1, SN2; developer.hashicorp.com/consul/api-docs/snapshot. The archive is of our own form
(`catalog/archive.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.acl.guards import needs
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, StreamingResponse
from meshagent.agent.http.routes import Route
from meshagent.agent.snapshots import restore, save
from meshagent.errors import BadRequest, CorruptData, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


async def _save(agent: Agent, request: Request) -> StreamingResponse:
    require_local(agent, request)
    saved = await save(agent, stale=request.options.consistency == "stale")
    headers = (
        ("X-Consul-Index", str(saved.index)),
        ("X-Consul-Knownleader", "true" if agent.log.leader else "false"),
        ("X-Consul-Lastcontact", str(saved.last_contact_ms)),
        ("X-Consul-Query-Backend", "blocking-query"),
    )
    return StreamingResponse(saved.pieces, headers=headers, content_type="application/x-gzip", packed=True)


async def _restore(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    if request.pieces is None:
        raise BadRequest("a snapshot is expected in the body")
    length = request.headers.get("Content-Length", "")
    expected = int(length) if length.isascii() and length.isdigit() else 0
    try:
        await restore(agent, request.pieces, expected)
    except CorruptData as error:
        raise InternalError(str(error)) from error
    return Response(200, content_type=None)


ROUTES = (
    Route(
        row="SN1", method="GET", path="/v1/snapshot", acl="acl:write",
        guard=needs("acl", "write"), flags="C", handle=_save, in_pieces=True,
        summary="the whole state as an archive (?stale: of any server)",
        example="curl -o backup.snap localhost:8500/v1/snapshot",
    ),
    Route(
        row="SN2", method="PUT", path="/v1/snapshot", acl="acl:write",
        guard=needs("acl", "write"), handle=_restore, upload=True,
        summary="replace the whole state by that of an archive",
        example="curl -X PUT --data-binary @backup.snap localhost:8500/v1/snapshot",
    ),
)  # fmt: skip
