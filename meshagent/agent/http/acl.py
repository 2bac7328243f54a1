"""`/v1/acl/*`: the first token, replication, and what a token may do. Tokens, policies and the rest have their own
modules.

Source: surface rows AC1, AC4, AC15, AC16; developer.hashicorp.com/consul/api-docs/acl. With ACLs off every row answers
401. What may change here: nothing that a client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.acl.now import now_text
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_rows import acl_needs, enabled, missing
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.operator_calls import REPLICATION_STATE, at_leader
from meshagent.agent.server_calls import ACL_RESET, decode
from meshagent.catalog import commands
from meshagent.catalog.acl.builtin import management_token
from meshagent.catalog.acl.granted import synthetic
from meshagent.catalog.acl.identities import TEMPLATES
from meshagent.catalog.acl.resources import RESOURCES
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest, InternalError
from meshagent.ids import is_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.rpc.leader_calls import LeaderCalls

__all__ = ["ROUTES"]

_MAX_QUESTIONS = 64
_DECODE = "Failed to decode request body: "


class _BootstrapBody(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = "ACLInitialTokenBootstrapRequest"

    bootstrap_secret: str = ""


async def _bootstrap(agent: Agent, request: Request) -> Response:
    body = _BootstrapBody()
    if request.body:
        body = decode_body(_BootstrapBody, request.body, prefix="Request decoding failed: ")
    secret = body.bootstrap_secret
    if secret and not is_uuid(secret):
        raise InternalError("uuid string is wrong length" if len(secret) != 36 else "uuid is improperly formatted")
    calls: LeaderCalls = agent.extras["leader_calls"]
    reset_index = decode(await calls.call(ACL_RESET), int)
    row = management_token(
        agent.new_id(), secret or agent.new_id(), "Bootstrap Token (Global Management)", now_text(agent)
    )
    created, modified = await agent.write(commands.AclBootstrap(row, reset_index))
    written = msgspec.structs.replace(row, create_index=created, modify_index=modified)
    await agent.log.read_barrier()
    return json_response({"ID": row.secret_id, **shapes.token(agent.store.acl, written, secret=True)})


async def _replication(agent: Agent, request: Request) -> Response:
    from meshagent.agent.replication import State  # on servers only, and seldom

    state = State()
    if "replicator" in agent.extras:  # the leader copies, and knows how that goes
        state = decode(await at_leader(agent, REPLICATION_STATE, b""), State)
    return json_response(state.shown())


# --- templated policies -----------------------------------------------------------------------------------------------


async def _templates(agent: Agent, request: Request) -> Response:
    return json_response({name: shapes.template(TEMPLATES[name]) for name in sorted(TEMPLATES)})


async def _template(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("templated policy Name")
    found = TEMPLATES.get(request.name)
    if found is None:
        raise BadRequest(f"Invalid templated policy Name: {request.name}")
    return json_response(shapes.template(found))


class _PreviewBody(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = "ACLTemplatedPolicyVariables"

    name: str = ""


async def _preview(agent: Agent, request: Request) -> Response:
    body = decode_body(_PreviewBody, request.body, prefix=_DECODE)
    found = TEMPLATES.get(request.name)
    if found is None:
        raise BadRequest(f'templated policy "{request.name}" does not exist')
    return json_response(shapes.policy(synthetic(found, body.name)))


# --- what a token may do ----------------------------------------------------------------------------------------------


class _Question(msgspec.Struct, omit_defaults=True, rename="pascal"):
    go_name: ClassVar[str] = "ACLAuthorizationRequest"

    resource: str
    access: str
    segment: str = ""


async def _authorize(agent: Agent, request: Request) -> Response:
    questions = decode_body(tuple[_Question, ...], request.body, prefix=_DECODE)
    if len(questions) > _MAX_QUESTIONS:
        raise BadRequest(f"Refusing to process more than {_MAX_QUESTIONS} authorizations at once")
    found: list[dict[str, Any]] = []
    for one in questions:
        resource = "intentions" if one.resource == "intention" else one.resource
        if resource != "intentions" and resource not in RESOURCES:
            raise InternalError(f'Invalid ACL resource requested: "{one.resource}"')
        if one.access not in {"read", "list", "write"}:
            raise InternalError(f"Invalid access level for {one.resource} resource: {one.access}")
        allow = request.access.allows(resource, one.access, one.segment)
        found.append({**msgspec.to_builtins(one), "Allow": allow})
    return json_response(found)


_READ = acl_needs("read")

ROUTES = (
    Route(
        row="AC1", method="PUT", path="/v1/acl/bootstrap", guard=enabled, tenancy="", handle=_bootstrap,
        summary="make the first token, once", example="curl -X PUT localhost:8500/v1/acl/bootstrap",
    ),
    Route(
        row="AC4", method="GET", path="/v1/acl/replication", guard=enabled, tenancy="", handle=_replication,
        summary="state of ACL replication", example="curl localhost:8500/v1/acl/replication",
    ),
    Route(
        row="AC15", method="GET", path="/v1/acl/templated-policies", acl="acl:read", guard=_READ, tenancy="",
        handle=_templates,
        summary="all templated policies", example="curl localhost:8500/v1/acl/templated-policies",
    ),
    Route(
        row="AC15", method="GET", path="/v1/acl/templated-policy/name/", acl="acl:read", guard=_READ, tenancy="",
        handle=_template, summary="one templated policy",
        example="curl localhost:8500/v1/acl/templated-policy/name/builtin/service",
    ),
    Route(
        row="AC15", method="POST", path="/v1/acl/templated-policy/preview/", acl="acl:read", guard=_READ, tenancy="",
        handle=_preview, summary="a templated policy with its variables filled in",
        example="""curl -X POST -d '{"Name":"web"}' localhost:8500/v1/acl/templated-policy/preview/builtin/service""",
    ),
    Route(
        row="AC16", method="POST", path="/v1/internal/acl/authorize", guard=enabled, asks=True, tenancy="",
        handle=_authorize, summary="what the token of the request may do",
        example="""curl -X POST -d '[{"Resource":"key","Access":"read","Segment":"a"}]' """
        "localhost:8500/v1/internal/acl/authorize",
    ),
)  # fmt: skip
