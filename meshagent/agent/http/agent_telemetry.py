"""I/O edge: `/v1/agent/metrics` and `/v1/agent/monitor`: the agent's figures, and its log as it is written.

Source: surface rows A22-A24, G42; developer.hashicorp.com/consul/api-docs/agent#view-metrics and #stream-logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.guards import needs, this_node
from meshagent.agent.http.request import Request, parse_bool
from meshagent.agent.http.response import Response, StreamingResponse, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.metrics import PROMETHEUS_CONTENT_TYPE, PROMETHEUS_DISABLED

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


#: Intervals kept for a reader of the stream that is slow; older ones are dropped.
_STREAM_BACKLOG = 6


async def _metrics(agent: Agent, request: Request) -> Response:
    if not _wants_prometheus(request):
        return json_response(agent.metrics.display(agent.clock.now()))
    if not agent.metrics.prometheus_enabled:
        return Response(headers=(("X-Consul-Reason", PROMETHEUS_DISABLED),))
    return Response(body=agent.metrics.prometheus(), content_type=PROMETHEUS_CONTENT_TYPE)


def _wants_prometheus(request: Request) -> bool:
    if request.query.get("format") == "prometheus":
        return True
    for accepted in request.headers.get("Accept", "").split(","):
        kind, _, parameters = accepted.strip().lower().partition(";")
        if kind == "application/openmetrics-text":
            return True
        if kind == "text/plain" and parameters.strip().startswith("version=0.0.4"):
            return True
    return False


async def _stream(agent: Agent, request: Request) -> StreamingResponse:
    return StreamingResponse(_intervals(agent), content_type="application/json")


async def _intervals(agent: Agent) -> AsyncIterator[bytes]:
    """Each interval as it ends, one JSON object a line."""
    waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_STREAM_BACKLOG)

    def ended(summary: dict[str, Any]) -> None:
        if waiting.full():
            waiting.get_nowait()
        waiting.put_nowait(summary)

    cancel = agent.metrics.subscribe(ended)
    try:
        while True:
            yield encode_json(await waiting.get()) + b"\n"
    finally:
        cancel()


async def _monitor(agent: Agent, request: Request) -> StreamingResponse:
    try:
        as_json = parse_bool(request.query.get("logjson") or "false")
    except ValueError:
        as_json = False
    follower = agent.logs.subscribe(request.query.get("loglevel") or "info", as_json=as_json)
    return StreamingResponse(follower.__aiter__())


ROUTES = (
    Route(
        row="A22", method="GET", path="/v1/agent/metrics",
        guard=needs("agent", "read", this_node),
        acl="agent:read", tenancy="", handle=_metrics,
        summary="figures of the last finished interval, as JSON or for Prometheus",
        example="curl 'localhost:8500/v1/agent/metrics?format=prometheus'",
    ),
    Route(
        row="A23", method="GET", path="/v1/agent/metrics/stream",
        guard=needs("agent", "read", this_node),
        acl="agent:read", tenancy="", handle=_stream,
        summary="figures of each interval as it ends", example="curl localhost:8500/v1/agent/metrics/stream",
    ),
    Route(
        row="A24", method="GET", path="/v1/agent/monitor",
        guard=needs("agent", "read", this_node),
        acl="agent:read", tenancy="", handle=_monitor,
        summary="the log as it is written", example="curl 'localhost:8500/v1/agent/monitor?loglevel=debug'",
    ),
)  # fmt: skip
