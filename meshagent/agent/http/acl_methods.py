"""`/v1/acl/auth-method*`: how strangers log in.

Types and their configuration are in `agent/acl/methods.py`. Source: surface row AC13; the golden scenario acl-login;
developer.hashicorp.com/consul/api-docs/acl/auth-methods. What may change here: nothing that a client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.acl.methods import check_config
from meshagent.agent.decode import Nanoseconds, decode_body
from meshagent.agent.http.acl_rows import acl_needs, done, missing, not_found
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response, text_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.acl.model import AuthMethod
from meshagent.catalog.acl.validation import MIN_TTL_NS, check_method_name
from meshagent.catalog.model import Row
from meshagent.catalog.queries import Result
from meshagent.durations import format_duration
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_PREFIX = "AuthMethod decoding failed: "
_TOPICS = ("acl-auth-methods",)


class MethodBody(Row, frozen=True, kw_only=True):
    """A method as it is sent; what is read back may be sent again."""

    go_name: ClassVar[str] = ""
    go_alias: ClassVar[bool] = True

    name: str = ""
    type: str = ""
    display_name: str = ""
    description: str = ""
    max_token_ttl: Nanoseconds = 0
    token_locality: str = ""
    config: dict[str, Any] | None = None
    create_index: int = 0
    modify_index: int = 0


def _result(agent: Agent, rows: Any) -> Result[Any]:
    return Result(rows, agent.store.acl.index("auth-methods"), _TOPICS)


def _list(agent: Agent, request: Request) -> Result[Any]:
    rows = agent.store.acl.methods
    return _result(agent, [shapes.listed_method(rows[name]) for name in sorted(rows)])


def _one(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("auth method name")
    row = agent.store.acl.methods.get(request.name)
    secrets = request.access.allows("acl", "write")
    return _result(agent, shapes.method(row, secrets=secrets) if row is not None else None)


def _encode(row: Any, request: Request) -> bytes | Response:
    return not_found("auth method") if row is None else encode_json(row)


async def _write(agent: Agent, request: Request) -> Response:
    body = decode_body(MethodBody, request.body, prefix=_PREFIX)
    if request.name and body.name and body.name != request.name:
        raise BadRequest("AuthMethod Name in URL and payload do not match")
    name = body.name or request.name
    check_method_name(name)
    await agent.log.read_barrier()
    held = agent.store.acl.methods.get(name)
    if held is not None and body.type and body.type != held.type:
        raise InternalError("the Type field of an Auth Method is immutable")
    if body.max_token_ttl and body.max_token_ttl < MIN_TTL_NS:
        given, least = format_duration(body.max_token_ttl), format_duration(MIN_TTL_NS)
        raise InternalError(f"MaxTokenTTL {given} cannot be less than {least}")
    if body.token_locality not in {"", "local", "global"}:
        raise InternalError("Invalid Auth Method: TokenLocality should be one of 'local' or 'global'")
    kind = body.type or (held.type if held is not None else "")
    config = dict(body.config or {})
    if held is not None:  # what was read back without its secrets
        config.update({key: held.config.get(key) for key, value in config.items() if value == shapes.HIDDEN})
    check_config(kind, config)
    row = AuthMethod(
        name=name,
        type=kind,
        display_name=body.display_name,
        description=body.description,
        max_token_ttl=body.max_token_ttl,
        token_locality=body.token_locality,
        config=config,
    )
    created, modified = await agent.write(commands.AclMethodSet(row))
    written = msgspec.structs.replace(row, create_index=created, modify_index=modified)
    return json_response(shapes.method(written, secrets=True))


async def _delete(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("auth method name")
    if not await agent.write(commands.AclMethodDelete(request.name)):
        return text_response("Cannot find auth method to delete", 404)
    return done()


_READ = acl_needs("read")
_WRITE = acl_needs("write")

ROUTES = (
    Route(
        row="AC13", method="GET", path="/v1/acl/auth-methods", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_list,
        summary="all auth methods, without their configuration", example="curl localhost:8500/v1/acl/auth-methods",
    ),
    Route(
        row="AC13", method="PUT", path="/v1/acl/auth-method", acl="acl:write", guard=_WRITE, tenancy="", handle=_write,
        summary="create an auth method", example="curl -X PUT -d @method.json localhost:8500/v1/acl/auth-method",
    ),
    Route(
        row="AC13", method="GET", path="/v1/acl/auth-method/", acl="acl:read", guard=_READ, asks=True, flags="B C",
        tenancy="", meta_on_error=True, read=_one, encode=_encode,
        summary="one auth method by name", example="curl localhost:8500/v1/acl/auth-method/ci",
    ),
    Route(
        row="AC13", method="PUT", path="/v1/acl/auth-method/", acl="acl:write", guard=_WRITE, tenancy="",
        handle=_write, summary="replace an auth method",
        example="curl -X PUT -d @method.json localhost:8500/v1/acl/auth-method/ci",
    ),
    Route(
        row="AC13", method="DELETE", path="/v1/acl/auth-method/", acl="acl:write", guard=_WRITE, tenancy="",
        handle=_delete, summary="delete an auth method, its rules and the tokens of its logins",
        example="curl -X DELETE localhost:8500/v1/acl/auth-method/ci",
    ),
)  # fmt: skip
