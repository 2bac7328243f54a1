"""`/v1/operator/usage`: how many nodes, services and instances there are.

Source: surface row OP8; developer.hashicorp.com/consul/api-docs/operator/usage. The body repeats what its headers say
of the read.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.guards import needs
from meshagent.agent.http.request import Request
from meshagent.agent.http.routes import Route
from meshagent.catalog.queries import Result

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["MESH_KINDS", "ROUTES", "usage_of"]

MESH_KINDS = (
    "api-gateway",
    "connect-native",
    "connect-proxy",
    "ingress-gateway",
    "mesh-gateway",
    "terminating-gateway",
)


def usage_of(agent: Agent) -> dict[str, Any]:
    """The counts of this datacenter. Instances of the mesh and of `consul` itself are not billable."""
    registrations = agent.store.registrations
    kinds: Counter[str] = Counter()
    names = set()
    billable = 0
    for service in registrations.services.values():
        names.add(service.name)
        if service.kind in MESH_KINDS:
            kinds[service.kind] += 1
        elif service.name != "consul":
            billable += 1
        if service.connect.native:
            kinds["connect-native"] += 1
    return {
        "Nodes": len(registrations.nodes),
        "Services": len(names),
        "ServiceInstances": len(registrations.services),
        "ConnectServiceInstances": {kind: kinds[kind] for kind in MESH_KINDS},
        "BillableServiceInstances": billable,
    }


def _read(agent: Agent, request: Request) -> Result[Any]:
    """Only what a view may depend on: rows of the store and the question."""
    registrations = agent.store.registrations
    index = max(registrations.index("nodes"), registrations.index("services"), 1)
    mode = request.options.consistency
    rows = {
        "Usage": {agent.datacenter: usage_of(agent)},
        "Index": index,
        "LastContact": agent.log.last_contact_ms * 1_000_000,
        "KnownLeader": bool(agent.log.leader),
        "ConsistencyLevel": mode or "leader",
        "NotModified": False,
        "Backend": 0,
        "ResultsFilteredByACLs": False,
    }
    return Result(rows, index, ("nodes", "services"))


ROUTES = (
    Route(
        row="OP8", method="GET", path="/v1/operator/usage", acl="operator:read",
        guard=needs("operator", "read"), flags="B C", effective=True,
        volatile=True, read=_read, summary="how many nodes and instances there are",
        example="curl localhost:8500/v1/operator/usage",
    ),
)  # fmt: skip
