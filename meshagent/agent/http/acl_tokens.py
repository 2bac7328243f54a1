"""`/v1/acl/token*`: tokens.

A secret is shown to who may write ACLs, and a token to itself. Source: surface rows AC5-AC9; the golden scenario acl-
objects; developer.hashicorp.com/consul/api-docs/acl/tokens. `?last-used` is ours. What may change here: nothing that a
client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.acl.access import Refused
from meshagent.agent.acl.now import now_text
from meshagent.agent.decode import Nanoseconds, decode_body
from meshagent.agent.http.acl_rows import (
    GrantingBody,
    LinkBody,
    acl_needs,
    done,
    enabled,
    identities_of,
    missing,
    policy_ids,
    require_uuid,
    role_ids,
    unknown_token,
)
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response, text_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.acl.model import ANONYMOUS_ACCESSOR, Token
from meshagent.catalog.acl.validation import check_identities, check_new_id, expiration
from meshagent.catalog.model import Row
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError
from meshagent.ids import is_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_PREFIX = "Token decoding failed: "
_TOPICS = ("acl-tokens", "acl-policies", "acl-roles")


class TokenBody(GrantingBody, frozen=True, kw_only=True):
    """A token as it is sent."""

    accessor_id: str = ""
    secret_id: str = ""
    roles: tuple[LinkBody, ...] | None = None
    local: bool = False
    auth_method: str = ""
    expiration_time: str = ""
    expiration_ttl: Nanoseconds = 0
    create_time: str = ""


class _CloneBody(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = ""
    go_alias: ClassVar[bool] = True

    description: str = ""


# --- reading ----------------------------------------------------------------------------------------------------------


def _result(agent: Agent, rows: Any) -> Result[Any]:
    return Result(rows, agent.store.acl.index("tokens"), _TOPICS)


def _shown(agent: Agent, request: Request, row: Token, *, own: bool = False) -> dict[str, Any]:
    tables = agent.store.acl
    secret = own or request.access.allows("acl", "write")
    found = shapes.token(tables, row, secret=secret)
    if request.query.has("last-used") and row.accessor_id in tables.used:
        found["LastUsed"] = tables.used[row.accessor_id]
    return found


def _list(agent: Agent, request: Request) -> Result[Any]:
    query, tables = request.query, agent.store.acl
    policy, role = query.get("policy") or "", query.get("role") or ""
    for given in (policy, role):
        if given:
            require_uuid(given, "token")
    service, method = query.get("servicename") or "", query.get("authmethod")
    if sum(map(bool, (policy, role, service, method))) > 1:
        raise InternalError("can only filter by one of policy, role, servicename and authmethod")
    found = []
    for accessor in sorted(tables.tokens):
        row = tables.tokens[accessor]
        if (
            (not policy or policy in row.policies)
            and (not role or role in row.roles)
            and (not service or any(one.service_name == service for one in row.service_identities))
            and (not method or row.auth_method == method)
        ):
            found.append(_shown(agent, request, row))
    return _result(agent, found)


def _one(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("token AccessorID")
    require_uuid(request.name, "token")
    row = agent.store.acl.tokens.get(request.name)
    if row is None:
        raise unknown_token()
    shown = _shown(agent, request, row)
    if request.query.has("expanded"):
        acl = agent.config.acl
        shown |= shapes.expanded(
            agent.store.acl,
            row,
            node=agent.node_name,
            default_policy=acl.default_policy,
            down_policy=acl.down_policy,
        )
    return _result(agent, shown)


def _self_guard(agent: Agent, request: Request) -> None:
    enabled(agent, request)
    access = request.access
    if isinstance(access, Refused) or access.anonymous or access.accessor not in agent.store.acl.tokens:
        raise unknown_token()


def _self(agent: Agent, request: Request) -> Result[Any]:
    row = agent.store.acl.tokens.get(request.access.accessor)
    if row is None:
        raise unknown_token()
    return _result(agent, _shown(agent, request, row, own=True))


# --- writing ----------------------------------------------------------------------------------------------------------


async def _create(agent: Agent, request: Request) -> Response:
    body = decode_body(TokenBody, request.body, prefix=_PREFIX)
    await agent.log.read_barrier()
    tables = agent.store.acl
    if body.accessor_id:
        check_new_id(body.accessor_id, "AccessorID")
        if body.accessor_id in tables.tokens:
            raise InternalError("Invalid Token: AccessorID is already in use")
    if body.secret_id:
        check_new_id(body.secret_id, "SecretID")
        if tables.by_secret(body.secret_id) is not None:
            raise InternalError("Invalid Token: SecretID is already in use")
    if body.auth_method:
        raise InternalError("AuthMethod field is disallowed outside of login")
    row = Token(
        accessor_id=body.accessor_id or agent.new_id(),
        secret_id=body.secret_id or agent.new_id(),
        local=body.local,
        expiration_time=expiration(body.expiration_ttl, body.expiration_time, agent.clock.now()),
        create_time=now_text(agent),
    )
    return await _write(agent, _filled(agent, row, body), create=True)


async def _update(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("token AccessorID")
    body = decode_body(TokenBody, request.body, prefix=_PREFIX)
    if body.accessor_id and body.accessor_id != request.name:
        raise BadRequest("Token Accessor ID in URL and payload do not match")
    require_uuid(request.name, "token")
    await agent.log.read_barrier()
    held = agent.store.acl.tokens.get(request.name)
    if held is None:
        raise InternalError(f'Cannot find token "{request.name}"')
    _check_unchanged(held, body)
    return await _write(agent, _filled(agent, held, body), create=False)


def _check_unchanged(held: Token, body: TokenBody) -> None:
    accessor = held.accessor_id
    if body.secret_id and body.secret_id not in {held.secret_id, shapes.HIDDEN}:
        raise InternalError("Changing a token's SecretID is not permitted")
    if body.local != held.local:
        raise InternalError(f"Cannot toggle local mode of {accessor}")
    if body.auth_method and body.auth_method != held.auth_method:
        raise InternalError(f"Cannot change AuthMethod of {accessor}")
    if body.expiration_ttl or (body.expiration_time and body.expiration_time != held.expiration_time):
        raise InternalError(f"Cannot change expiration time of {accessor}")


def _filled(agent: Agent, row: Token, body: TokenBody) -> Token:
    """The row with the links and identities of a body. Raises InternalError."""
    tables = agent.store.acl
    filled = msgspec.structs.replace(
        row,
        description=body.description,
        policies=policy_ids(tables, body.policies),
        roles=role_ids(tables, body.roles),
        **identities_of(body),
    )
    check_identities(
        "token", filled.service_identities, filled.node_identities, filled.templated_policies, local=filled.local
    )
    return filled


async def _write(agent: Agent, row: Token, *, create: bool) -> Response:
    created, modified = await agent.write(commands.AclTokenSet(row, create))
    written = msgspec.structs.replace(row, create_index=created, modify_index=modified)
    return json_response(shapes.token(agent.store.acl, written, secret=True))


async def _clone(agent: Agent, request: Request) -> Response:
    body = decode_body(_CloneBody, request.body, prefix=_PREFIX)
    require_uuid(request.name, "token")
    await agent.log.read_barrier()
    held = agent.store.acl.tokens.get(request.name)
    if held is None:
        raise unknown_token()
    if held.accessor_id == ANONYMOUS_ACCESSOR:
        raise InternalError("Cannot clone the anonymous token")
    if held.auth_method:
        raise InternalError("Cannot clone a token created from an auth method")
    copy = msgspec.structs.replace(
        held,
        accessor_id=agent.new_id(),
        secret_id=agent.new_id(),
        description=body.description or held.description,
        create_time=now_text(agent),
    )
    return await _write(agent, copy, create=True)


async def _delete(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("token AccessorID")
    if not is_uuid(request.name):
        raise InternalError("Accessor ID is missing or an invalid UUID")
    if request.name == ANONYMOUS_ACCESSOR:
        raise InternalError("Delete operation not permitted on the anonymous token")
    await agent.log.read_barrier()
    held = agent.store.acl.tokens.get(request.name)
    if held is None:
        return text_response("Cannot find token to delete", 404)
    if held.accessor_id == request.access.accessor:
        raise InternalError("Deletion of the request's authorization token is not permitted")
    await agent.write(commands.AclTokensDelete((held.accessor_id,)))
    return done()


_READ = acl_needs("read")
_WRITE = acl_needs("write")

ROUTES = (
    Route(
        row="AC5", method="GET", path="/v1/acl/tokens", acl="acl:read", guard=_READ, asks=True, flags="B C",
        tenancy="", meta_on_error=True, read=_list,
        summary="all tokens (?policy, ?role, ?servicename, ?authmethod); secrets need acl:write",
        example="curl localhost:8500/v1/acl/tokens",
    ),
    Route(
        row="AC6", method="PUT", path="/v1/acl/token", acl="acl:write", guard=_WRITE, tenancy="", handle=_create,
        summary="create a token",
        example="""curl -X PUT -d '{"Policies":[{"Name":"kv"}]}' localhost:8500/v1/acl/token""",
    ),
    Route(
        row="AC7", method="GET", path="/v1/acl/token/self", guard=_self_guard, asks=True, personal=True,
        flags="B C", tenancy="",
        meta_on_error=True, read=_self,
        summary="the token of the request", example="curl localhost:8500/v1/acl/token/self",
    ),
    Route(
        row="AC8", method="GET", path="/v1/acl/token/", acl="acl:read", guard=_READ, asks=True, flags="B C",
        tenancy="", meta_on_error=True, read=_one,
        summary="one token by accessor (?expanded: what it comes to; ?last-used is ours)",
        example="curl localhost:8500/v1/acl/token/$ACCESSOR",
    ),
    Route(
        row="AC8", method="PUT", path="/v1/acl/token/", acl="acl:write", guard=_WRITE, tenancy="", handle=_update,
        summary="replace the links of a token",
        example="""curl -X PUT -d '{"Description":"mine"}' localhost:8500/v1/acl/token/$ACCESSOR""",
    ),
    Route(
        row="AC8", method="DELETE", path="/v1/acl/token/", acl="acl:write", guard=_WRITE, tenancy="", handle=_delete,
        summary="delete a token", example="curl -X DELETE localhost:8500/v1/acl/token/$ACCESSOR",
    ),
    Route(
        row="AC9", method="PUT", path="/v1/acl/token/", suffix="/clone", acl="acl:write", guard=_WRITE, tenancy="",
        handle=_clone, summary="copy a token under new ids",
        example="""curl -X PUT -d '{"Description":"copy"}' localhost:8500/v1/acl/token/$ACCESSOR/clone""",
    ),
)  # fmt: skip
