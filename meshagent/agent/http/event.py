"""`/v1/event`: user events.

The list is this agent's own, and its index is that of its newest event: indexes have no order, so a blocking read waits
as long as the index is the one it knows.

Source: surface rows EV1, EV2; developer.hashicorp.com/consul/api-docs/event. What may change here: events for other
datacenters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.acl.guards import named, needs
from meshagent.agent.events import TOPIC, UserEvent, UserEvents, event_index, validate
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.hash_blocking import wait_changed
from meshagent.agent.http.request import ReadOptions, Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import FILTERED
from meshagent.errors import BadRequest
from meshagent.ids import new_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

#: Blocking reads end up to this part of their wait later (surface row C12).
_JITTER_FRACTION = 16


def _events(agent: Agent) -> UserEvents:
    events: UserEvents = agent.extras["events"]
    return events


async def _fire(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise BadRequest("Missing name")
    query = request.query
    event = UserEvent(
        id=new_uuid(),
        name=request.name,
        payload=request.body or None,
        node_filter=query.get("node") or "",
        service_filter=query.get("service") or "",
        tag_filter=query.get("tag") or "",
    )
    validate(event)
    require_local(agent, request)
    _events(agent).fire(event)
    return json_response(event)


async def _list(agent: Agent, request: Request) -> Response:
    options = request.options
    _ = request.access.sees_all  # a token that does not exist is refused
    name = request.query.get("name") or ""
    deadline = agent.clock.monotonic() + _wait_s(agent, options)
    while True:
        given = _events(agent).all(name)
        found = [event for event in given if request.access.allows("event", "read", event.name)]
        index = event_index(found[-1].id) if found else 1
        left_s = deadline - agent.clock.monotonic()
        if index != options.index or left_s <= 0:
            hidden = len(found) < len(given) and not request.access.anonymous
            headers = (("X-Consul-Index", str(index)), *((FILTERED,) if hidden else ()))
            return json_response(found, headers=headers)
        await wait_changed(agent, TOPIC, left_s)


def _wait_s(agent: Agent, options: ReadOptions) -> float:
    config = agent.config
    wait_s = min(options.wait_ns / 1e9 if options.wait_ns > 0 else config.default_query_time, config.max_query_time)
    return wait_s + agent.rng.random() * wait_s / _JITTER_FRACTION


ROUTES = (
    Route(
        row="EV1", method="PUT", path="/v1/event/fire/",
        guard=needs("event", "write", named, bare=True),
        acl="event:write", tenancy="", handle=_fire,
        summary="fire a user event", example="curl -X PUT -d v1.2 localhost:8500/v1/event/fire/deploy?service=web",
    ),
    Route(
        row="EV2", method="GET", path="/v1/event/list",
        asks=True,
        acl="event:read", flags="B", tenancy="", handle=_list,
        summary="the last 256 user events", example="curl localhost:8500/v1/event/list?name=deploy",
    ),
)  # fmt: skip
