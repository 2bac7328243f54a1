"""`/v1/agent/connect/envoys`: the Envoys that this agent serves over xDS, and what they did not accept.

Ours; Consul says it in its log alone. Source: our own. What may change here: fields are added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.guards import needs, this_node
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.xds.service import XdsService

__all__ = ["ROUTES"]


async def _envoys(agent: Agent, request: Request) -> Response:
    service: XdsService | None = agent.extras.get("xds")
    rows: list[dict[str, Any]] = service.status() if service is not None else []
    return json_response(rows)


ROUTES = (
    Route(
        row="X4", method="GET", path="/v1/agent/connect/envoys",
        guard=needs("agent", "read", this_node),
        acl="agent:read", handle=_envoys,
        summary="the Envoys that are served over xDS, and what they did not accept (ours)",
        example="curl localhost:8500/v1/agent/connect/envoys",
    ),
)  # fmt: skip
