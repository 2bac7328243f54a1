"""`/v1/agent/service*`: registering services on this host, reading them back, maintenance.

Source: surface rows A5, A6, A10-A13, C14; developer.hashicorp.com/consul/api-docs/agent/service. A registration is
answered when it holds and is saved; the catalog learns of it in the next turn of the loop (`agent/sync.py`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meshagent.agent.acl.guards import needs, this_node
from meshagent.agent.acl.locally import registered_names, require_service, seen
from meshagent.agent.decode import decode_body
from meshagent.agent.definitions import ServiceDefinition
from meshagent.agent.http.hash_blocking import wait_changed
from meshagent.agent.http.local_shapes import agent_service, hashed_service
from meshagent.agent.http.narrow import filtered
from meshagent.agent.http.request import Request, parse_bool
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.maintenance import node_maintenance, service_maintenance
from meshagent.agent.persist import saved_to_disk
from meshagent.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

log = logging.getLogger("agent.http")

_WAIT_S = 300.0
_WAIT_MAX_S = 600.0
#: Waits end up to this part later, so that not all come back at once.
_JITTER_FRACTION = 16


async def _services(agent: Agent, request: Request) -> Response:
    given = filtered(request, "agent_service", [entry.service for entry in agent.local.services.values()])
    rows, headers = seen(request, given, lambda row: request.access.allows("service", "read", row.name))
    return json_response({row.id: agent_service(row, agent.datacenter) for row in rows}, headers=headers)


async def _service(agent: Agent, request: Request) -> Response:
    options = request.options
    wait_s = min(options.wait_ns / 1e9 or _WAIT_S, _WAIT_MAX_S)
    deadline = agent.clock.monotonic() + wait_s + agent.rng.uniform(0, wait_s / _JITTER_FRACTION)
    while True:
        entry = agent.local.services.get(request.name)
        if entry is None:
            raise NotFound(f"unknown service ID: {request.name}")
        request.access.require("service", "read", entry.service.name)
        shown = hashed_service(entry.service, agent.datacenter)
        left_s = deadline - agent.clock.monotonic()
        if not options.hash or options.hash != shown["ContentHash"] or left_s <= 0:
            return json_response(shown, headers=(("X-Consul-Contenthash", shown["ContentHash"]),))
        await wait_changed(agent, ("agent-service", request.name), left_s)


async def _register(agent: Agent, request: Request) -> Response:
    definition = decode_body(ServiceDefinition, request.body, snake_case=True)
    definition.validate()
    for name in registered_names(agent.local, definition):
        request.access.require("service", "write", name)
    agent.local.add_service(definition, token=request.given_token, replace_existing_checks=_replaces(request))
    for warning in definition.warnings():
        log.warning("%s", warning)
    await saved_to_disk(agent)
    return Response()


def _replaces(request: Request) -> bool:
    """The bare parameter counts as true, a word that is no boolean as false."""
    text = request.query.get("replace-existing-checks")
    if not text:
        return text is not None
    try:
        return parse_bool(text)
    except ValueError:
        return False


async def _deregister(agent: Agent, request: Request) -> Response:
    require_service(agent.local, request.access, request.name)
    agent.local.remove_service(request.name)
    await saved_to_disk(agent)
    return Response()


async def _service_maintenance(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise BadRequest("Missing service ID")
    enable, reason = _maintenance(request)
    require_service(agent.local, request.access, request.name)
    service_maintenance(agent.local, request.name, enable=enable, reason=reason, token=request.given_token)
    await saved_to_disk(agent)
    return Response()


async def _node_maintenance(agent: Agent, request: Request) -> Response:
    enable, reason = _maintenance(request)
    node_maintenance(agent.local, enable=enable, reason=reason, token=request.given_token)
    await saved_to_disk(agent)
    return Response()


def _maintenance(request: Request) -> tuple[bool, str]:
    """The parameters `enable` and `reason`."""
    text = request.query.get("enable")
    if text is None:
        raise BadRequest("Missing value for enable")
    try:
        enable = parse_bool(text)
    except ValueError:
        raise BadRequest(f'Invalid value for enable: "{text}"') from None
    return enable, request.query.get("reason") or ""


ROUTES = (
    Route(
        row="A5", method="GET", path="/v1/agent/services",
        asks=True,
        acl="service:read", flags="F", handle=_services,
        summary="services registered on this host", example="curl localhost:8500/v1/agent/services",
    ),
    Route(
        row="A6", method="GET", path="/v1/agent/service/",
        asks=True,
        acl="service:read", flags="H", handle=_service,
        summary="one of them; blocks on its hash", example="curl localhost:8500/v1/agent/service/web-1",
    ),
    Route(
        row="A10", method="PUT", path="/v1/agent/service/register",
        asks=True,
        acl="service:write", handle=_register,
        summary="register a service with its checks and sidecar",
        example="""curl -X PUT localhost:8500/v1/agent/service/register -d '{"Name": "web", "Port": 80}'""",
    ),
    Route(
        row="A11", method="PUT", path="/v1/agent/service/deregister/",
        asks=True,
        acl="service:write", handle=_deregister,
        summary="remove a service, its checks and its sidecar",
        example="curl -X PUT localhost:8500/v1/agent/service/deregister/web-1",
    ),
    Route(
        row="A12", method="PUT", path="/v1/agent/service/maintenance/",
        asks=True,
        acl="service:write",
        handle=_service_maintenance, summary="put a service into maintenance, or back into work",
        example="curl -X PUT 'localhost:8500/v1/agent/service/maintenance/web-1?enable=true&reason=disk'",
    ),
    Route(
        row="A13", method="PUT", path="/v1/agent/maintenance",
        guard=needs("node", "write", this_node),
        acl="node:write", handle=_node_maintenance,
        summary="put this node into maintenance, or back into work",
        example="curl -X PUT 'localhost:8500/v1/agent/maintenance?enable=true'",
    ),
)  # fmt: skip
