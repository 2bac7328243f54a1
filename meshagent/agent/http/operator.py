"""`/v1/operator`: operating the cluster.

Most is not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows OP1-OP3, OP7; developer.hashicorp.com/consul/api-docs/operator.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="OP1",
        method="GET",
        path="/v1/operator/raft/configuration",
        acl="operator:read",
        summary="the servers of the Raft configuration",
    ),
    Route(
        row="OP2",
        method="DELETE",
        path="/v1/operator/raft/peer",
        acl="operator:write",
        summary="remove a server from Raft",
    ),
    Route(
        row="OP3",
        method="POST",
        path="/v1/operator/raft/transfer-leader",
        acl="operator:write",
        summary="hand leadership to another server",
    ),
    Route(row="OP7", method="GET", path="/v1/operator/keyring", acl="keyring:read", summary="gossip keys of each pool"),
    Route(row="OP7", method="POST", path="/v1/operator/keyring", acl="keyring:write", summary="install a gossip key"),
    Route(
        row="OP7",
        method="PUT",
        path="/v1/operator/keyring",
        acl="keyring:write",
        summary="use a gossip key as the primary one",
    ),
    Route(row="OP7", method="DELETE", path="/v1/operator/keyring", acl="keyring:write", summary="remove a gossip key"),
)
