"""`/v1/operator/autopilot`: its configuration, and what it knows of the servers.

Source: surface rows OP4-OP6; developer.hashicorp.com/consul/api-docs/operator/autopilot.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl.guards import needs
from meshagent.agent.decode import Nanoseconds, decode_body
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.kv import FALSE, TRUE, parse_uint64
from meshagent.agent.http.reads import wait_ready
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.operator_calls import autopilot_state
from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.autopilot.health import AutopilotState, ServerHealth
from meshagent.catalog.commands import AutopilotSet
from meshagent.catalog.model import consul_name
from meshagent.durations import format_duration
from meshagent.errors import BadRequest, InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_PREFIX = "Error parsing autopilot config: "


class _Body(msgspec.Struct, rename=consul_name):
    """What is sent; a field that is left out gets its default, not its present value."""

    go_name = "AutopilotConfiguration"

    cleanup_dead_servers: bool = True
    last_contact_threshold: Nanoseconds = AutopilotConfig().last_contact_threshold
    max_trailing_logs: int = AutopilotConfig().max_trailing_logs
    min_quorum: int = 0
    server_stabilization_time: Nanoseconds = AutopilotConfig().server_stabilization_time
    redundancy_zone_tag: str = ""
    disable_upgrade_migration: bool = False
    upgrade_version_tag: str = ""
    create_index: int = 0
    modify_index: int = 0


async def _get_config(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    await wait_ready(agent, request.options.consistency)
    config = agent.store.autopilot.config
    if config is None:
        raise InternalError("autopilot config not initialized yet")
    shown = msgspec.to_builtins(config)
    for name in ("LastContactThreshold", "ServerStabilizationTime"):
        shown[name] = format_duration(shown[name])
    return json_response(shown)


async def _put_config(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    body = decode_body(_Body, request.body, prefix=_PREFIX)
    for name in ("last_contact_threshold", "max_trailing_logs", "min_quorum", "server_stabilization_time"):
        if getattr(body, name) < 0:
            raise BadRequest(f"{_PREFIX}{consul_name(name)} must not be negative")
    given = msgspec.structs.asdict(body)
    cas = _cas(request)
    done = await agent.write(AutopilotSet(AutopilotConfig(**{**given, "create_index": 0, "modify_index": 0}), cas))
    return Response(200, TRUE if done else FALSE, content_type=JSON)


def _cas(request: Request) -> int | None:
    if not request.query.has("cas"):
        return None
    try:
        return parse_uint64(request.query.get("cas") or "")
    except MeshError as error:
        raise BadRequest(f"Error parsing cas value: {error}") from None


async def _health(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    state = await autopilot_state(agent)
    body = {
        "Healthy": state.healthy,
        "FailureTolerance": state.failure_tolerance,
        "Servers": [_server_health(server) for server in state.servers],
    }
    return json_response(body, 200 if state.healthy else 429)


def _server_health(server: ServerHealth) -> dict[str, Any]:
    return {
        "ID": server.id,
        "Name": server.name,
        "Address": server.address,
        "SerfStatus": server.status,
        "Version": server.version,
        "Leader": server.leader,
        "LastContact": format_duration(server.last_contact),
        "LastTerm": server.last_term,
        "LastIndex": server.last_index,
        "Healthy": server.healthy,
        "Voter": server.voter,
        "StableSince": _time(server.stable_since),
    }


async def _state(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    state = await autopilot_state(agent)
    return json_response(_shown_state(state))


def _shown_state(state: AutopilotState) -> dict[str, Any]:
    return {
        "Healthy": state.healthy,
        "FailureTolerance": state.failure_tolerance,
        # Without Enterprise's redundancy zones the two are the same.
        "OptimisticFailureTolerance": state.failure_tolerance,
        "Servers": {server.id: _server_state(server) for server in state.servers},
        "Leader": state.leader,
        "Voters": state.voters,
    }


def _server_state(server: ServerHealth) -> dict[str, Any]:
    return {
        "ID": server.id,
        "Name": server.name,
        "Address": server.address,
        "NodeStatus": server.status,
        "Version": server.version,
        "LastContact": format_duration(server.last_contact),
        "LastTerm": server.last_term,
        "LastIndex": server.last_index,
        "Healthy": server.healthy,
        "StableSince": _time(server.stable_since),
        "ReadReplica": False,
        "Status": "leader" if server.leader else "voter" if server.voter else "non-voter",
        "Meta": server.meta,
        "NodeType": "voter",
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


ROUTES = (
    Route(
        row="OP4", method="GET", path="/v1/operator/autopilot/configuration", acl="operator:read",
        guard=needs("operator", "read"), flags="C",
        handle=_get_config, summary="the autopilot configuration",
        example="curl localhost:8500/v1/operator/autopilot/configuration",
    ),
    Route(
        row="OP4", method="PUT", path="/v1/operator/autopilot/configuration", acl="operator:write",
        guard=needs("operator", "write"),
        handle=_put_config, summary="change it (?cas: only the one with that ModifyIndex)",
        example="curl -X PUT -d '{\"MinQuorum\":3}' localhost:8500/v1/operator/autopilot/configuration",
    ),
    Route(
        row="OP5", method="GET", path="/v1/operator/autopilot/health", acl="operator:read",
        guard=needs("operator", "read"), handle=_health,
        summary="health of the servers; 429 when one is unhealthy",
        example="curl localhost:8500/v1/operator/autopilot/health",
    ),
    Route(
        row="OP6", method="GET", path="/v1/operator/autopilot/state", acl="operator:read",
        guard=needs("operator", "read"), handle=_state,
        summary="what autopilot knows of the servers", example="curl localhost:8500/v1/operator/autopilot/state",
    ),
)  # fmt: skip
