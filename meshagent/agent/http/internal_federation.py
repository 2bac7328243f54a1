"""`/v1/internal/federation-state*`: what the datacenters say of their ways in.

Source: surface row IN6; developer.hashicorp.com/consul/docs/connect/gateways/mesh-gateway/wan-federation-via-mesh-
gateways. Mesh gateways of this datacenter are read from the catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl.guards import needs
from meshagent.agent.http.request import Request
from meshagent.agent.http.routes import Route
from meshagent.agent.http.shapes import HealthEntry, health_entry
from meshagent.catalog import queries
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.federation_state import FederationState

__all__ = ["ROUTES"]

_TOPICS = ("federation-states", "services", "nodes")


def _gateways(agent: Agent) -> tuple[list[HealthEntry], int]:
    """The mesh gateways of this datacenter, and the index of their last change."""
    store = agent.store
    names = {row.name for row in store.registrations.services.values() if row.kind == "mesh-gateway"}
    found = [queries.health_service(store, name) for name in sorted(names)]
    return [health_entry(row) for result in found for row in result.rows], max(
        (result.index for result in found), default=0
    )


def _others(agent: Agent) -> list[tuple[str, FederationState]]:
    rows = agent.store.federation.rows
    return [(name, rows[name]) for name in sorted(rows) if name != agent.datacenter]


def _shown(agent: Agent, row: FederationState, own: list[HealthEntry]) -> dict[str, Any]:
    gateways = own if row.datacenter == agent.datacenter else [health_entry(one) for one in row.mesh_gateways]
    shown = msgspec.to_builtins(msgspec.structs.replace(row, mesh_gateways=()))
    if not gateways:
        return dict(shown)
    return {"Datacenter": shown.pop("Datacenter"), "MeshGateways": gateways, **shown}


def _list(agent: Agent, request: Request) -> Result[Any]:
    gateways, index = _gateways(agent)
    states = agent.store.federation
    rows = [_shown(agent, states.rows[name], gateways) for name in sorted(states.rows)]
    return Result(rows, max(states.index, index, 1), _TOPICS)


def _list_gateways(agent: Agent, request: Request) -> Result[Any]:
    gateways, index = _gateways(agent)
    rows = {name: [health_entry(one) for one in row.mesh_gateways] for name, row in _others(agent) if row.mesh_gateways}
    if gateways:
        rows[agent.datacenter] = gateways
    return Result(rows, max(agent.store.federation.index, index, 1), _TOPICS)


def _one(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing datacenter name")
    row = agent.store.federation.rows.get(request.name)
    gateways, index = _gateways(agent)
    index = max(agent.store.federation.index, index, 1)
    if row is None:
        raise NotFound("")
    state = {
        "State": _shown(agent, row, gateways),
        "Index": index,
        "LastContact": agent.log.last_contact_ms * 1_000_000,
        "KnownLeader": bool(agent.log.leader),
        "ConsistencyLevel": "",
        "NotModified": False,
        "Backend": 0,
        "ResultsFilteredByACLs": False,
    }
    return Result(state, index, _TOPICS)


ROUTES = (
    Route(
        row="IN6", method="GET", path="/v1/internal/federation-states", acl="operator:read",
        guard=needs("operator", "read"),
        meta_on_error=True, flags="B", tenancy="",
        read=_list, summary="federation states", example="curl localhost:8500/v1/internal/federation-states",
    ),
    Route(
        row="IN6", method="GET", path="/v1/internal/federation-states/mesh-gateways", acl="operator:read",
        guard=needs("operator", "read"),
        meta_on_error=True, flags="B",
        tenancy="", read=_list_gateways, summary="mesh gateways of all datacenters",
        example="curl localhost:8500/v1/internal/federation-states/mesh-gateways",
    ),
    Route(
        row="IN6", method="GET", path="/v1/internal/federation-state/", acl="operator:read",
        guard=needs("operator", "read"),
        meta_on_error=True, flags="B", tenancy="",
        read=_one, summary="the federation state of a datacenter",
        example="curl localhost:8500/v1/internal/federation-state/dc1",
    ),
)  # fmt: skip
