"""`/v1/peering`: cluster peering.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows PE1-PE3; developer.hashicorp.com/consul/api-docs/peering.
"""

from __future__ import annotations

from meshagent.agent.acl.guards import needs
from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="PE1",
        method="POST",
        path="/v1/peering/token",
        acl="peering:write",
        guard=needs("peering", "write"),
        summary="make a peering token",
        tenancy="partition",
    ),
    Route(
        row="PE2",
        method="POST",
        path="/v1/peering/establish",
        acl="peering:write",
        guard=needs("peering", "write"),
        summary="establish a peering with a token",
        tenancy="partition",
    ),
    Route(
        row="PE3",
        method="GET",
        path="/v1/peering/",
        acl="peering:read",
        guard=needs("peering", "read"),
        flags="B",
        summary="one peering",
        tenancy="partition",
    ),
    Route(
        row="PE3",
        method="DELETE",
        path="/v1/peering/",
        acl="peering:write",
        guard=needs("peering", "write"),
        summary="delete a peering",
        tenancy="partition",
    ),
    Route(
        row="PE3",
        method="GET",
        path="/v1/peerings",
        acl="peering:read",
        guard=needs("peering", "read"),
        flags="B",
        summary="all peerings",
        tenancy="partition",
    ),
)
