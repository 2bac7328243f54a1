"""`/v1/acl/binding-rule*`: what a login is given.

Source: surface row AC14; the golden scenario acl-login; developer.hashicorp.com/consul/api-docs/acl/binding-rules. What
may change here: nothing that a client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.acl.binding import check_rule
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_rows import acl_needs, done, missing, one_or_404, require_uuid
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response, text_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.acl.model import BindingRule
from meshagent.catalog.model import Row
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_PREFIX = "BindingRule decoding failed: "
_TOPICS = ("acl-binding-rules",)


class _Vars(Row, frozen=True, kw_only=True):
    name: str = ""


class RuleBody(Row, frozen=True, kw_only=True):
    """A rule as it is sent; what is read back may be sent again."""

    go_name: ClassVar[str] = "ACLBindingRule"

    id: str = ""
    description: str = ""
    auth_method: str = ""
    selector: str = ""
    bind_type: str = ""
    bind_name: str = ""
    bind_vars: _Vars | None = None
    create_index: int = 0
    modify_index: int = 0


def _result(agent: Agent, rows: Any) -> Result[Any]:
    return Result(rows, agent.store.acl.index("binding-rules"), _TOPICS)


def _list(agent: Agent, request: Request) -> Result[Any]:
    rows = agent.store.acl.rules
    wanted = request.query.get("authmethod")
    found = [rows[key] for key in sorted(rows) if not wanted or rows[key].auth_method == wanted]
    return _result(agent, [shapes.rule(row) for row in found])


def _one(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise missing("binding rule ID")
    require_uuid(request.name, "binding rule")
    return _result(agent, agent.store.acl.rules.get(request.name))


async def _create(agent: Agent, request: Request) -> Response:
    body = decode_body(RuleBody, request.body, prefix=_PREFIX)
    if body.id:
        raise BadRequest("Cannot specify the ID when creating a new binding rule")
    await agent.log.read_barrier()
    return await _write(agent, body, agent.new_id(), None)


async def _update(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("binding rule ID")
    body = decode_body(RuleBody, request.body, prefix=_PREFIX)
    if body.id and body.id != request.name:
        raise BadRequest("BindingRule ID in URL and payload do not match")
    require_uuid(request.name, "binding rule")
    await agent.log.read_barrier()
    held = agent.store.acl.rules.get(request.name)
    if held is None:
        raise InternalError(f"cannot find binding rule {request.name}")
    return await _write(agent, body, request.name, held)


async def _write(agent: Agent, body: RuleBody, rule_id: str, held: BindingRule | None) -> Response:
    if held is not None and body.auth_method and body.auth_method != held.auth_method:
        raise InternalError("the AuthMethod field of a Binding Rule is immutable")
    row = BindingRule(
        id=rule_id,
        description=body.description,
        auth_method=body.auth_method or (held.auth_method if held is not None else ""),
        selector=body.selector,
        bind_type=body.bind_type,
        bind_name=body.bind_name,
        bind_vars={"name": body.bind_vars.name} if body.bind_vars is not None and body.bind_vars.name else None,
    )
    if not row.auth_method:
        raise InternalError("Invalid Binding Rule: no AuthMethod is set")
    method = agent.store.acl.methods.get(row.auth_method)
    if method is None:
        raise InternalError(f'cannot find auth method with name "{row.auth_method}"')
    check_rule(row, method)
    created, modified = await agent.write(commands.AclBindingRuleSet(row))
    return json_response(shapes.rule(msgspec.structs.replace(row, create_index=created, modify_index=modified)))


async def _delete(agent: Agent, request: Request) -> Response:
    if not request.name:
        raise missing("binding rule ID")
    require_uuid(request.name, "binding rule")
    if not await agent.write(commands.AclBindingRuleDelete(request.name)):
        return text_response("Cannot find binding rule to delete", 404)
    return done()


_READ = acl_needs("read")
_WRITE = acl_needs("write")

ROUTES = (
    Route(
        row="AC14", method="GET", path="/v1/acl/binding-rules", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_list,
        summary="all binding rules (?authmethod)", example="curl localhost:8500/v1/acl/binding-rules",
    ),
    Route(
        row="AC14", method="PUT", path="/v1/acl/binding-rule", acl="acl:write", guard=_WRITE, tenancy="",
        handle=_create, summary="create a binding rule",
        example="""curl -X PUT -d '{"AuthMethod":"ci","BindType":"service","BindName":"${value.name}"}' """
        "localhost:8500/v1/acl/binding-rule",
    ),
    Route(
        row="AC14", method="GET", path="/v1/acl/binding-rule/", acl="acl:read", guard=_READ, flags="B C", tenancy="",
        meta_on_error=True, read=_one, encode=one_or_404("binding rule", shapes.rule),
        summary="one binding rule by id", example="curl localhost:8500/v1/acl/binding-rule/$ID",
    ),
    Route(
        row="AC14", method="PUT", path="/v1/acl/binding-rule/", acl="acl:write", guard=_WRITE, tenancy="",
        handle=_update, summary="replace a binding rule",
        example="curl -X PUT -d @rule.json localhost:8500/v1/acl/binding-rule/$ID",
    ),
    Route(
        row="AC14", method="DELETE", path="/v1/acl/binding-rule/", acl="acl:write", guard=_WRITE, tenancy="",
        handle=_delete, summary="delete a binding rule",
        example="curl -X DELETE localhost:8500/v1/acl/binding-rule/$ID",
    ),
)  # fmt: skip
