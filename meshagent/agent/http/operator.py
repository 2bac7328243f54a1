"""`/v1/operator/raft`: the servers of the Raft cluster.

Source: surface rows OP1-OP3; developer.hashicorp.com/consul/api-docs/operator/raft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.acl.guards import needs
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.server_calls import (
    RAFT_CONFIGURATION,
    RAFT_REMOVE,
    RAFT_TRANSFER,
    RaftRows,
    decode,
    encode,
    raft_rows,
)
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.rpc.leader_calls import LeaderCalls

__all__ = ["ROUTES"]


def _leader(agent: Agent) -> LeaderCalls:
    calls: LeaderCalls = agent.extras["leader_calls"]
    return calls


async def _configuration(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    if request.options.consistency == "stale":
        rows = raft_rows(agent.extras["raft"])
    else:
        rows = decode(await _leader(agent).call(RAFT_CONFIGURATION), RaftRows)
        await agent.log.read_barrier()  # the names come from the catalog here
    names = {node.id: node.name for node in agent.store.registrations.nodes.values()}
    servers = [
        {
            "ID": row.node_id,
            "Node": names.get(row.node_id, "(unknown)"),
            "Address": row.address,
            "Leader": row.leader,
            "ProtocolVersion": "3",
            "Voter": row.voter,
            "LastIndex": row.last_index,
        }
        for row in rows.servers
    ]
    return json_response({"Servers": servers, "Index": rows.index})


async def _remove(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    node_id, address = request.query.get("id") or "", request.query.get("address") or ""
    if not node_id and not address:
        raise BadRequest("Must specify either ?id with the server's ID or ?address with IP:port of peer to remove")
    if node_id and address:
        raise BadRequest("Must specify only one of ?id or ?address")
    await _leader(agent).call(RAFT_REMOVE, encode((node_id, address)))
    return Response()


async def _transfer(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    await _leader(agent).call(RAFT_TRANSFER, encode(request.query.get("id") or ""))
    return json_response({"Success": True})


ROUTES = (
    Route(
        row="OP1",
        method="GET",
        path="/v1/operator/raft/configuration",
        acl="operator:read",
        guard=needs("operator", "read"),
        tenancy="",
        handle=_configuration,
        summary="the servers of the Raft configuration",
        example="curl localhost:8500/v1/operator/raft/configuration",
    ),
    Route(
        row="OP2",
        method="DELETE",
        path="/v1/operator/raft/peer",
        acl="operator:write",
        guard=needs("operator", "write"),
        tenancy="",
        handle=_remove,
        summary="remove a server from Raft",
        example="curl -X DELETE 'localhost:8500/v1/operator/raft/peer?address=10.1.0.3:8300'",
    ),
    Route(
        row="OP3",
        method="POST",
        path="/v1/operator/raft/transfer-leader",
        acl="operator:write",
        guard=needs("operator", "write"),
        tenancy="",
        handle=_transfer,
        summary="hand leadership to another server",
        example="curl -X POST localhost:8500/v1/operator/raft/transfer-leader",
    ),
)
