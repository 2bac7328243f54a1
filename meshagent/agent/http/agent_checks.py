"""`/v1/agent/check*`: registering checks on this host, reading them, and the word of TTL checks.

Source: surface rows A7, A14-A17, K14; developer.hashicorp.com/consul/api-docs/agent/check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.acl.locally import check_allows, require_check, require_new_check, seen
from meshagent.agent.decode import decode_body
from meshagent.agent.definitions import CHECK_STATUSES, CheckDefinition
from meshagent.agent.http.narrow import filtered
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Handle, Route
from meshagent.agent.persist import saved_to_disk
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


class _Update(Row, frozen=True, kw_only=True):
    """The body of A17."""

    status: str = ""
    output: str = ""


async def _checks(agent: Agent, request: Request) -> Response:
    given = filtered(request, "agent_check", [entry.check for entry in agent.local.checks.values()])
    rows, headers = seen(request, given, lambda row: check_allows(request.access, "read", row))
    return json_response({row.check_id: row for row in rows}, headers=headers)


async def _register(agent: Agent, request: Request) -> Response:
    definition = decode_body(CheckDefinition, request.body, snake_case=True)
    require_new_check(agent.local, request.access, definition.service_id)
    agent.local.add_check(definition, token=request.given_token)
    await saved_to_disk(agent)
    return Response()


async def _deregister(agent: Agent, request: Request) -> Response:
    require_check(agent.local, request.access, request.name)
    agent.local.remove_check(request.name)
    await saved_to_disk(agent)
    return Response()


async def _update(agent: Agent, request: Request) -> Response:
    update = decode_body(_Update, request.body)
    if update.status not in CHECK_STATUSES:
        raise BadRequest(f"Invalid check status: '{update.status}'")
    require_check(agent.local, request.access, request.name)
    await _say(agent, request.name, update.status, update.output)
    return Response()


def _note(status: str) -> Handle:
    async def handle(agent: Agent, request: Request) -> Response:
        require_check(agent.local, request.access, request.name)
        await _say(agent, request.name, status, request.query.get("note") or "")
        return Response()

    return handle


async def _say(agent: Agent, check_id: str, status: str, output: str) -> None:
    """The word of a TTL check: it counts, and is kept until the TTL ends."""
    definition = agent.local.check(check_id).definition
    runner = agent.extras["checks"]
    if definition is None:
        raise InternalError(f'CheckID "{check_id}" does not have associated TTL')
    kept = runner.ttl_update(check_id, status, output)
    saver = agent.extras.get("saver")
    if saver is not None:
        saver.save_state(check_id, status, kept, agent.clock.now().timestamp() + definition.ttl)
        await saver.flush()


ROUTES = (
    Route(
        row="A7", method="GET", path="/v1/agent/checks",
        asks=True,
        acl="node:read, service:read", flags="F", handle=_checks,
        summary="checks registered on this host", example="curl localhost:8500/v1/agent/checks",
    ),
    Route(
        row="A14", method="PUT", path="/v1/agent/check/register",
        asks=True,
        acl="node:write or service:write", handle=_register,
        summary="register a check of this node or of a service on it",
        example="""curl -X PUT localhost:8500/v1/agent/check/register -d '{"Name": "disk", "TTL": "1m"}'""",
    ),
    Route(
        row="A15", method="PUT", path="/v1/agent/check/deregister/",
        asks=True,
        acl="node:write or service:write",
        handle=_deregister, summary="remove a check",
        example="curl -X PUT localhost:8500/v1/agent/check/deregister/disk",
    ),
    *(
        Route(
            row="A16", method="PUT", path=f"/v1/agent/check/{word}/", acl="node:write or service:write", asks=True,
            handle=_note(status), summary=f"a TTL check says that it is {status}",
            example=f"curl -X PUT 'localhost:8500/v1/agent/check/{word}/disk?note=seen'",
        )
        for word, status in (("pass", "passing"), ("warn", "warning"), ("fail", "critical"))
    ),
    Route(
        row="A17", method="PUT", path="/v1/agent/check/update/",
        asks=True,
        acl="node:write or service:write", handle=_update,
        summary="a TTL check says how it is, with an output",
        example="""curl -X PUT localhost:8500/v1/agent/check/update/disk -d '{"Status": "passing"}'""",
    ),
)  # fmt: skip
