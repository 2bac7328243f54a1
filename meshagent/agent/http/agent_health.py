"""`/v1/agent/health/service/*`: how the instances on this host are, as JSON or as one word for a load balancer.

Source: surface rows A8, A9; developer.hashicorp.com/consul/api-docs/agent/service#get-local-service-health. The status
is in the HTTP code: 200 passing, 429 warning, 503 critical or maintenance, 404 unknown. Node checks count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.guards import named, needs
from meshagent.agent.http.local_shapes import agent_service, health_check
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.maintenance import NODE_MAINTENANCE, SERVICE_MAINTENANCE
from meshagent.catalog.model import Check
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES", "aggregated"]

#: From best to worst, with the HTTP code.
_CODES = {"passing": 200, "warning": 429, "critical": 503, "maintenance": 503}
_WORSE = {status: rank for rank, status in enumerate(_CODES)}


def aggregated(checks: Iterable[Check]) -> str:
    """The worst status of some checks; maintenance is worse than critical."""
    worst = "passing"
    for check in checks:
        status = check.status
        if check.check_id == NODE_MAINTENANCE or check.check_id.startswith(SERVICE_MAINTENANCE):
            status = "maintenance"
        if _WORSE.get(status, 0) > _WORSE[worst]:
            worst = status
    return worst


async def _by_name(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise InternalError("Missing service Name")
    ids = [entry.service.id for entry in agent.local.services.values() if entry.service.name == request.name]
    if not ids:
        return _answer(request, 404, f"ServiceName {request.name} Not Found", [])
    found = [_instance(agent, service_id) for service_id in ids]
    worst = max((one["AggregatedStatus"] for one in found), key=_WORSE.__getitem__)
    return _answer(request, _CODES[worst], worst, found)


async def _by_id(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise InternalError("Missing serviceID")
    if request.name not in agent.local.services:
        _ = request.access.sees_all
        missing = {"AggregatedStatus": "critical", "Service": None, "Checks": None}
        return _answer(request, 404, f"ServiceId {request.name} not found", missing)
    request.access.require("service", "read", agent.local.services[request.name].service.name)
    found = _instance(agent, request.name)
    status = found["AggregatedStatus"]
    return _answer(request, _CODES[status], status, found)


def _instance(agent: Agent, service_id: str) -> dict[str, Any]:
    local = agent.local
    checks = [entry.check for entry in (*local.checks_of(service_id), *local.checks_of(""))]
    return {
        "AggregatedStatus": aggregated(checks),
        "Service": agent_service(local.services[service_id].service, agent.datacenter),
        "Checks": [health_check(check) for check in checks],
    }


def _answer(request: Request, code: int, reason: str, body: Any) -> Response:
    headers = (("X-Consul-Reason", reason),)
    wanted = request.headers.get("Accept", "")
    if request.query.get("format") == "text" or wanted.startswith("text/plain"):
        return Response(code, reason.encode(), headers, "text/plain")
    return json_response(body, code, headers)


ROUTES = (
    Route(
        row="A8", method="GET", path="/v1/agent/health/service/name/",
        guard=needs("service", "read", named),
        acl="service:read", handle=_by_name,
        summary="health of all instances of a service on this host; the code tells the worst",
        example="curl 'localhost:8500/v1/agent/health/service/name/web?format=text'",
    ),
    Route(
        row="A9", method="GET", path="/v1/agent/health/service/id/",
        asks=True,
        acl="service:read", handle=_by_id,
        summary="health of one instance on this host; the code tells it",
        example="curl 'localhost:8500/v1/agent/health/service/id/web-1?format=text'",
    ),
)  # fmt: skip
