"""`/v1/acl/explain` and `/v1/acl/suggest/`: what a request needs, and what a token needs. Ours.

Both are answered by a server: of what a token did at a client agent it knows what came to the servers.

Source: our own. What may change here: fields may be added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.usage import Usage, proposed_rules
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_rows import acl_needs, require_uuid, unknown_token
from meshagent.agent.http.request import Request, parse_query, unescape
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route, Router
from meshagent.agent.http.target import parse_target
from meshagent.catalog.acl.model import ANONYMOUS_ACCESSOR
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


class _Body(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = "ExplainRequest"

    accessor: str = ""
    method: str = "GET"
    path: str = ""
    body: str = ""


async def _explain(agent: Agent, request: Request) -> Response:
    from meshagent.agent.acl.explain import explain, holders  # where somebody asks for it

    asked = decode_body(_Body, request.body)
    route, name, query, path = _found(agent, asked.method.upper(), asked.path)
    accessor = request.access.accessor if asked.accessor in {"", "self"} else asked.accessor
    await agent.log.read_barrier()
    token = agent.store.acl.tokens.get(accessor)
    if token is None:
        raise unknown_token()
    guardian: Guardian = agent.extras["acl"]
    identity = await guardian.identify("" if accessor == ANONYMOUS_ACCESSOR else token.secret_id)
    body = asked.body.encode()
    made = Request(asked.method.upper(), path, parse_query(query), {}, body, name=name)
    found = await explain(agent, route, made, _quiet(identity.access))
    return json_response(
        {
            "Accessor": accessor,
            "Endpoint": f"{route.method} {route.path}{route.suffix}",
            "Allowed": found.allowed,
            "Decisions": [
                {
                    "Resource": one.resource,
                    "Access": one.access,
                    "Name": one.name,
                    "Allowed": one.allowed,
                    "Reason": one.reason,
                    "Policies": holders(agent.store.acl, token, agent.datacenter, one),
                }
                for one in found.questions
            ],
            "Note": found.note,
        }
    )


def _quiet(access: Access) -> Access:
    """The same, without being counted as a use."""
    return Access(access.authorizer, access.accessor, anonymous=access.anonymous)


def _found(agent: Agent, method: str, target: str) -> tuple[Route, str, str, str]:
    """The row, the name, the query and the path of a request. Raises BadRequest, NotFound."""
    if not target.startswith("/"):
        target = "/v1/" + target
    try:
        parts = parse_target(target)
    except ValueError as error:
        raise BadRequest(f"Path is not a request target: {error}") from None
    router: Router = agent.extras["router"]
    group = router.find(parts.raw_path)
    if group is None:
        raise NotFound(f"there is no endpoint behind {parts.raw_path}")
    route = group.methods.get(method)
    if route is None:
        raise BadRequest(f"{parts.raw_path} takes {', '.join(group.methods)}, not {method}")
    return route, unescape(group.name), parts.query, parts.path


async def _suggest(agent: Agent, request: Request) -> Response:
    require_uuid(request.name, "token")
    await agent.log.read_barrier()
    if request.name not in agent.store.acl.tokens:
        raise NotFound(f"there is no token with the AccessorID {request.name}")
    usage: Usage = agent.extras["acl_usage"]
    allowed, denied = usage.allowed(request.name), usage.denied(request.name)
    rows: list[dict[str, Any]] = [
        {"Resource": resource, "Access": access, "Name": name} for resource, access, name in denied
    ]
    return json_response({"Accessor": request.name, "Rules": proposed_rules(allowed), "Denied": rows})


ROUTES = (
    Route(
        row="AC20", method="POST", path="/v1/acl/explain", acl="acl:read", guard=acl_needs("read"), asks=True,
        tenancy="", handle=_explain, summary="what a request needs of a token, and which rule decides (ours)",
        example="""curl -X POST -d '{"Accessor":"self","Method":"PUT","Path":"/v1/kv/a"}' """
        "localhost:8500/v1/acl/explain",
    ),
    Route(
        row="AC20", method="GET", path="/v1/acl/suggest/", acl="acl:read", guard=acl_needs("read"), tenancy="",
        handle=_suggest, summary="the least rules for what a token did (ours)",
        example="curl localhost:8500/v1/acl/suggest/$ACCESSOR",
    ),
)  # fmt: skip
