"""`/v1/acl/polic*`: policies.

Source: surface rows AC10, AC11; developer.hashicorp.com/consul/api-docs/acl/policies. What may change here: nothing
that a client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_rows import acl_needs, done, missing, one_or_404, require_uuid
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response, text_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.acl.builtin import GLOBAL_MANAGEMENT, POLICIES
from meshagent.catalog.acl.model import Policy
from meshagent.catalog.acl.rules import parse_rules
from meshagent.catalog.acl.validation import check_policy_name
from meshagent.catalog.model import Row
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_BUILTIN = {policy.id: policy for policy in POLICIES}
_PREFIX = "Policy decoding failed: "


class PolicyBody(Row, frozen=True, kw_only=True):
    """A policy as it is sent; what is read back may be sent again."""

    go_name: ClassVar[str] = ""
    go_alias: ClassVar[bool] = True

    id: str = ""
    name: str = ""
    description: str = ""
    rules: str = ""
    datacenters: tuple[str, ...] | None = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0


def _result(agent: Agent, rows: Any) -> Result[Any]:
    return Result(rows, agent.store.acl.index("policies"), ("acl-policies",))


def _list(agent: Agent, request: Request) -> Result[Any]:
    rows = agent.store.acl.policies
    return _result(agent, [shapes.listed_policy(rows[key]) for key in sorted(rows)])


def _by_id(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("policy ID")
    require_uuid(request.name, "policy")
    return _result(agent, agent.store.acl.policies.get(request.name))


def _by_name(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("policy Name")
    return _result(agent, agent.store.acl.policy_named(request.name))


async def _create(agent: Agent, request: Request) -> Response:
    body = decode_body(PolicyBody, request.body, prefix=_PREFIX)
    if body.id:
        raise BadRequest("Cannot specify the ID when creating a new policy")
    return await _write(agent, body, agent.new_id(), None)


async def _update(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("policy ID")
    body = decode_body(PolicyBody, request.body, prefix=_PREFIX)
    if body.id and body.id != request.name:
        raise BadRequest("Policy ID in URL and payload do not match")
    require_uuid(request.name, "policy")
    await agent.log.read_barrier()
    held = agent.store.acl.policies.get(request.name)
    if held is None:
        raise InternalError(f"cannot find policy {request.name}")
    return await _write(agent, body, request.name, held)


async def _write(agent: Agent, body: PolicyBody, policy_id: str, held: Policy | None) -> Response:
    row = Policy(
        id=policy_id,
        name=body.name,
        description=body.description,
        rules=body.rules,
        datacenters=tuple(body.datacenters or ()),
    )
    builtin = _BUILTIN.get(policy_id)
    if builtin is not None:
        _check_builtin(builtin, row)
    if builtin is None or row.name != builtin.name:
        check_policy_name(row.name)
    parse_rules(row.rules)
    if held is None:
        await agent.log.read_barrier()
    created, modified = await agent.write(commands.AclPolicySet(row))
    return json_response(shapes.policy(msgspec.structs.replace(row, create_index=created, modify_index=modified)))


def _check_builtin(builtin: Policy, row: Policy) -> None:
    where = f"builtin {builtin.name} policy"
    if row.rules != builtin.rules:
        raise InternalError(f"Changing the Rules for the {where} is not permitted")
    if row.datacenters:
        raise InternalError(f"Changing the Datacenters of the {where} is not permitted")
    if builtin.id != GLOBAL_MANAGEMENT and row.name != builtin.name:
        raise InternalError(f"Changing the Name of the {where} is not permitted")


async def _delete(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("policy ID")
    require_uuid(request.name, "policy")
    builtin = _BUILTIN.get(request.name)
    if builtin is not None:
        raise InternalError(f"Delete operation not permitted on the builtin {builtin.name} policy")
    if not await agent.write(commands.AclPolicyDelete(request.name)):
        return text_response("Cannot find policy to delete", 404)
    return done()


_READ = acl_needs("read")
_WRITE = acl_needs("write")
_encode = one_or_404("policy", shapes.policy)


ROUTES = (
    Route(
        row="AC10", method="GET", path="/v1/acl/policies", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_list, encode=lambda rows, _: encode_json(rows),
        summary="all policies, without their rules", example="curl localhost:8500/v1/acl/policies",
    ),
    Route(
        row="AC11", method="PUT", path="/v1/acl/policy", acl="acl:write", guard=_WRITE, tenancy="", handle=_create,
        summary="create a policy",
        example="""curl -X PUT -d '{"Name":"kv","Rules":"key_prefix \\"\\" { policy = \\"read\\" }"}' """
        "localhost:8500/v1/acl/policy",
    ),
    Route(
        row="AC11", method="GET", path="/v1/acl/policy/", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_by_id, encode=_encode,
        summary="one policy by id", example="curl localhost:8500/v1/acl/policy/$ID",
    ),
    Route(
        row="AC11", method="PUT", path="/v1/acl/policy/", acl="acl:write", guard=_WRITE, tenancy="", handle=_update,
        summary="replace a policy",
        example="""curl -X PUT -d '{"Name":"kv","Rules":""}' localhost:8500/v1/acl/policy/$ID""",
    ),
    Route(
        row="AC11", method="DELETE", path="/v1/acl/policy/", acl="acl:write", guard=_WRITE, tenancy="", handle=_delete,
        summary="delete a policy: tokens and roles lose it",
        example="curl -X DELETE localhost:8500/v1/acl/policy/$ID",
    ),
    Route(
        row="AC11", method="GET", path="/v1/acl/policy/name/", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_by_name, encode=_encode,
        summary="one policy by name", example="curl localhost:8500/v1/acl/policy/name/kv",
    ),
)  # fmt: skip
