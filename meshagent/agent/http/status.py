"""`/v1/status/*`: the leader and the Raft peers. The smallest family: copy it for a new one.

Source: surface rows ST1, ST2; developer.hashicorp.com/consul/api-docs/status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.raft.replica import RaftLog

__all__ = ["ROUTES"]


async def _leader(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    return json_response(agent.log.leader)


async def _peers(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    raft: RaftLog | None = agent.extras.get("raft")
    return json_response([agent.log.leader] if raft is None else sorted(server.address for server in raft.servers))


ROUTES = (
    Route(
        row="ST1", method="GET", path="/v1/status/leader", handle=_leader, tenancy="",
        summary="server RPC address of the leader, or the empty string", example="curl localhost:8500/v1/status/leader",
    ),
    Route(
        row="ST2", method="GET", path="/v1/status/peers", handle=_peers, tenancy="",
        summary="server RPC addresses of all servers", example="curl localhost:8500/v1/status/peers",
    ),
)  # fmt: skip
