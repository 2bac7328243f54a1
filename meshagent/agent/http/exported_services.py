"""`/v1/exported-services`: what is exported to whom, wildcards spread out.

Source: surface row ES1; developer.hashicorp.com/consul/api-docs/exported-services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.guards import needs
from meshagent.agent.http.narrow import filtered
from meshagent.agent.http.request import Request
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog.exports import exported_services
from meshagent.catalog.queries import Result

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


def _read(agent: Agent, request: Request) -> Result[Any]:
    store = agent.store
    result = exported_services(store)
    rows = filtered(request, "exported_service", result.rows)
    return LiveResult(rows, result.index, result.topics, lambda: exported_services(store).index)


ROUTES = (
    Route(
        row="ES1", method="GET", path="/v1/exported-services",
        guard=needs("mesh", "read"),
        acl="mesh:read or operator:read", flags="B F",
        filter="exported_service", tenancy="partition", read=_read,
        summary="the resolved exported-services entry", example="curl localhost:8500/v1/exported-services",
    ),
)  # fmt: skip
