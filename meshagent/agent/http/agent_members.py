"""`/v1/agent/members`, joining, leaving and forcing others to leave.

Source: surface rows A3, A18-A20; developer.hashicorp.com/consul/api-docs/agent. What gossip knows comes from
`extras["members"]` (`agent/membership.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.acl.guards import needs, this_node
from meshagent.agent.acl.locally import seen
from meshagent.agent.http.narrow import filtered
from meshagent.agent.http.request import Request, parse_bool
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.membership import Membership
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


def _wan(request: Request) -> bool:
    """`?wan=1`; the bare parameter does not count."""
    try:
        return parse_bool(request.query.get("wan") or "false")
    except ValueError:
        return False


def _membership(agent: Agent) -> Membership:
    membership: Membership = agent.extras["members"]
    return membership


async def _members(agent: Agent, request: Request) -> Response:
    wan = _wan(request)
    segment = request.query.get("segment") or ""
    if wan and segment:
        raise BadRequest("Cannot provide a segment with wan=true")
    if segment and segment != "_all":
        raise InternalError("Network segments are not supported in this version of Consul")
    given = filtered(request, "member", [msgspec.to_builtins(one) for one in _membership(agent).members(wan=wan)])
    rows, headers = seen(request, given, lambda row: request.access.allows("node", "read", row["Name"]))
    return json_response(rows, headers=headers)


async def _join(agent: Agent, request: Request) -> Response:
    await _membership(agent).join(request.name, wan=_wan(request))
    return Response()


async def _force_leave(agent: Agent, request: Request) -> Response:
    prune, wan = request.query.has("prune"), request.query.has("wan")
    await _membership(agent).force_leave(request.name, prune=prune, wan=wan)
    return Response()


async def _leave(agent: Agent, request: Request) -> Response:
    """Answered when the others know of it."""
    await agent.lifecycle.leave()
    return Response()


ROUTES = (
    Route(
        row="A3", method="GET", path="/v1/agent/members",
        asks=True,
        acl="node:read", flags="F", tenancy="partition",
        handle=_members, summary="members of the cluster as gossip sees them",
        example="curl localhost:8500/v1/agent/members",
    ),
    Route(
        row="A18", method="PUT", path="/v1/agent/join/",
        guard=needs("agent", "write", this_node),
        acl="agent:write", tenancy="", handle=_join,
        summary="join the cluster of another agent", example="curl -X PUT localhost:8500/v1/agent/join/10.0.0.1",
    ),
    Route(
        row="A19", method="PUT", path="/v1/agent/leave",
        guard=needs("agent", "write", this_node),
        acl="agent:write", tenancy="", handle=_leave,
        summary="leave the cluster and end", example="curl -X PUT localhost:8500/v1/agent/leave",
    ),
    Route(
        row="A20", method="PUT", path="/v1/agent/force-leave/",
        guard=needs("operator", "write"),
        acl="operator:write", tenancy="",
        handle=_force_leave, summary="take a failed member for left",
        example="curl -X PUT localhost:8500/v1/agent/force-leave/host-1?prune",
    ),
)  # fmt: skip
