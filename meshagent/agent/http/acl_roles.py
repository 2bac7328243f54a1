"""`/v1/acl/role*`: roles.

Source: surface row AC12; developer.hashicorp.com/consul/api-docs/acl/roles. What may change here: nothing that a client
of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_rows import (
    GrantingBody,
    acl_needs,
    done,
    identities_of,
    missing,
    not_found,
    policy_ids,
    require_uuid,
)
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response, text_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.acl.model import Role
from meshagent.catalog.acl.validation import check_identities, check_role_name
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_PREFIX = "Role decoding failed: "


class RoleBody(GrantingBody, frozen=True, kw_only=True):
    """A role as it is sent."""

    id: str = ""
    name: str = ""


def _result(agent: Agent, rows: Any) -> Result[Any]:
    # The names of linked policies are shown, too.
    return Result(rows, agent.store.acl.index("roles"), ("acl-roles", "acl-policies"))


def _list(agent: Agent, request: Request) -> Result[Any]:
    tables = agent.store.acl
    policy = request.query.get("policy")
    if policy:
        require_uuid(policy, "role")
    rows = [tables.roles[key] for key in sorted(tables.roles)]
    return _result(agent, [shapes.role(tables, row) for row in rows if not policy or policy in row.policies])


def _by_id(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("role ID")
    require_uuid(request.name, "role")
    return _one(agent, agent.store.acl.roles.get(request.name))


def _by_name(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("role Name")
    return _one(agent, agent.store.acl.role_named(request.name))


def _one(agent: Agent, row: Role | None) -> Result[Any]:
    return _result(agent, shapes.role(agent.store.acl, row) if row is not None else None)


def _encode(row: Any, request: Request) -> bytes | Response:
    return not_found("role") if row is None else encode_json(row)


async def _create(agent: Agent, request: Request) -> Response:
    body = decode_body(RoleBody, request.body, prefix=_PREFIX)
    if body.id:
        raise BadRequest("Cannot specify the ID when creating a new role")
    await agent.log.read_barrier()
    return await _write(agent, body, agent.new_id())


async def _update(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("role ID")
    body = decode_body(RoleBody, request.body, prefix=_PREFIX)
    if body.id and body.id != request.name:
        raise BadRequest("Role ID in URL and payload do not match")
    require_uuid(request.name, "role")
    await agent.log.read_barrier()
    if request.name not in agent.store.acl.roles:
        raise InternalError(f"cannot find role {request.name}")
    return await _write(agent, body, request.name)


async def _write(agent: Agent, body: RoleBody, role_id: str) -> Response:
    check_role_name(body.name)
    tables = agent.store.acl
    row = Role(
        id=role_id,
        name=body.name,
        description=body.description,
        policies=policy_ids(tables, body.policies),
        **identities_of(body),
    )
    check_identities("role", row.service_identities, row.node_identities, row.templated_policies)
    created, modified = await agent.write(commands.AclRoleSet(row))
    return json_response(shapes.role(tables, msgspec.structs.replace(row, create_index=created, modify_index=modified)))


async def _delete(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("role ID")
    require_uuid(request.name, "role")
    if not await agent.write(commands.AclRoleDelete(request.name)):
        return text_response("Cannot find role to delete", 404)
    return done()


_READ = acl_needs("read")
_WRITE = acl_needs("write")

ROUTES = (
    Route(
        row="AC12", method="GET", path="/v1/acl/roles", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_list,
        summary="all roles (?policy=<id>: with that policy)", example="curl localhost:8500/v1/acl/roles",
    ),
    Route(
        row="AC12", method="PUT", path="/v1/acl/role", acl="acl:write", guard=_WRITE, tenancy="", handle=_create,
        summary="create a role",
        example="""curl -X PUT -d '{"Name":"dev","Policies":[{"Name":"kv"}]}' localhost:8500/v1/acl/role""",
    ),
    Route(
        row="AC12", method="GET", path="/v1/acl/role/", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_by_id, encode=_encode,
        summary="one role by id", example="curl localhost:8500/v1/acl/role/$ID",
    ),
    Route(
        row="AC12", method="PUT", path="/v1/acl/role/", acl="acl:write", guard=_WRITE, tenancy="", handle=_update,
        summary="replace a role", example="""curl -X PUT -d '{"Name":"dev"}' localhost:8500/v1/acl/role/$ID""",
    ),
    Route(
        row="AC12", method="DELETE", path="/v1/acl/role/", acl="acl:write", guard=_WRITE, tenancy="", handle=_delete,
        summary="delete a role: tokens lose it", example="curl -X DELETE localhost:8500/v1/acl/role/$ID",
    ),
    Route(
        row="AC12", method="GET", path="/v1/acl/role/name/", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_by_name, encode=_encode,
        summary="one role by name", example="curl localhost:8500/v1/acl/role/name/dev",
    ),
)  # fmt: skip
