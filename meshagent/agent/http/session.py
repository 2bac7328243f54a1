"""`/v1/session`: sessions, which hold locks on keys for as long as their node, checks and renewals last.

Source: surface rows SE1-SE5, C7; developer.hashicorp.com/consul/api-docs/session. What a server refuses is a 500, and
unknown fields of a body are ignored here, unlike elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from meshagent.agent.acl import visible
from meshagent.agent.decode import decode, decode_body
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.hash_blocking import wait_changed
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json, json_response, text_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.agent.server_calls import SESSION_RENEW, encode
from meshagent.catalog import commands, queries
from meshagent.catalog.model import Row, ServiceCheck, Session, always
from meshagent.catalog.queries import Result
from meshagent.durations import format_duration, parse_duration
from meshagent.errors import BadRequest, InternalError, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.rpc.leader_calls import LeaderCalls

__all__ = ["ROUTES"]

_TTL_MAX_NS = 24 * 3600 * 1_000_000_000
_LOCK_DELAY_NS = 15_000_000_000
#: A smaller LockDelay was meant in seconds (surface row C7).
_LOCK_DELAY_SECONDS_BELOW = 1000
#: How long a new agent's node may take to get into the catalog.
_START_S = 5.0
_GO_BODY = "struct { LockDelay interface {}; *structs.Alias }"


class SessionBody(Row, frozen=True, kw_only=True):
    """The body of `session/create`. `checks` is the old name of `node_checks` and adds to them."""

    go_name: ClassVar[str] = "Session"
    go_alias: ClassVar[bool] = True

    name: str = ""
    node: str | None = None
    lock_delay: Any = None
    behavior: str = ""
    ttl: str = ""
    checks: tuple[str, ...] | None = None
    node_checks: tuple[str, ...] | None = None
    service_checks: tuple[ServiceCheck, ...] | None = always(None)


_FIELDS = frozenset({"name", "node", "lockdelay", "behavior", "ttl", "checks", "nodechecks", "servicechecks"})


async def _create(agent: Agent, request: Request) -> Response:
    started = agent.clock.monotonic()
    session = _session(agent, request)
    require_local(agent, request)
    request.access.require("session", "write", session.node)
    _refuse(agent, session)
    await _wait_registered(agent, request, session.node)
    try:
        await agent.write(commands.SessionCreate(session))
    except MeshError as error:
        if error.http_status == 500 and not error.retryable:
            raise InternalError(f"apply failed: {error}") from error
        raise
    finally:
        agent.metrics.measure("session.apply", started)
    return json_response({"ID": session.id})


def _session(agent: Agent, request: Request) -> Session:
    body = request.body
    raw: dict[str, Any] = decode_body(dict[str, Any], body, go_value=_GO_BODY) if body else {}
    wanted = decode(SessionBody, {key: value for key, value in raw.items() if key.lower() in _FIELDS}, snake_case=False)
    return Session(
        id=agent.new_id(),
        name=wanted.name,
        node=(request.asker or agent.node_name) if wanted.node is None else wanted.node,
        lock_delay=_lock_delay(wanted.lock_delay),
        behavior=wanted.behavior or "release",
        ttl=wanted.ttl,
        node_checks=_node_checks(wanted),
        service_checks=wanted.service_checks,
    )


def _node_checks(wanted: SessionBody) -> tuple[str, ...]:
    """An empty list under either name means none; what is not given means the node's health."""
    if wanted.checks == () or wanted.node_checks == ():
        return tuple(wanted.checks or ()) + tuple(wanted.node_checks or ())
    named = ("serfHealth",) if wanted.node_checks is None else wanted.node_checks
    return tuple(dict.fromkeys((*named, *(wanted.checks or ()))))


def _lock_delay(given: Any) -> int:
    if given is None:
        return _LOCK_DELAY_NS
    if isinstance(given, str):
        try:
            delay = parse_duration(given)
        except ValueError as error:
            raise BadRequest(f"Request decode failed: {error}") from None
    else:
        delay = int(given) if type(given) in {int, float} else 0
    if delay < _LOCK_DELAY_SECONDS_BELOW:
        delay *= 1_000_000_000
    return max(min(delay, 2**63 - 1), -(2**63))


def _refuse(agent: Agent, session: Session) -> None:
    if not session.node:
        raise InternalError("Must provide Node")
    if session.behavior not in {"release", "delete"}:
        raise InternalError(f"Invalid Behavior setting '{session.behavior}'")
    if session.ttl:
        try:
            ttl = parse_duration(session.ttl)
        except ValueError as error:
            raise InternalError(f"Session TTL '{session.ttl}' invalid: {error}") from None
        least = round(agent.config.session_ttl_min * 1e9)
        if ttl != 0 and not least <= ttl <= _TTL_MAX_NS:
            bounds = f"[{format_duration(least)}={format_duration(_TTL_MAX_NS)}]"
            raise InternalError(f"Invalid Session TTL '{ttl}', must be between {bounds}")


async def _wait_registered(agent: Agent, request: Request, node: str) -> None:
    """An agent that has just started is asked for a session before its node is in the catalog: that comes at once."""
    if node != (request.asker or agent.node_name) or node.lower() in agent.store.registrations.nodes:
        return
    await wait_changed(agent, ("node", node.lower()), _START_S, agent.store.watches)


async def _destroy(agent: Agent, request: Request) -> Response:
    started = agent.clock.monotonic()
    require_local(agent, request)
    session_id = _id(request)
    await _require_held(agent, request, session_id)
    await agent.write(commands.SessionDestroy(session_id))
    agent.metrics.measure("session.apply", started)
    return Response(200, b"true", content_type=JSON)


async def _renew(agent: Agent, request: Request) -> Response:
    started = agent.clock.monotonic()
    require_local(agent, request)
    session_id = _id(request)
    await _require_held(agent, request, session_id)
    calls: LeaderCalls = agent.extras["leader_calls"]
    try:
        await calls.call(SESSION_RENEW, encode(session_id))
    except NotFound as error:
        return text_response(str(error), 404)
    await agent.log.read_barrier()
    session = agent.store.sessions.rows.get(session_id)
    if session is None:  # it has ended meanwhile
        return text_response(f"Session id '{session_id}' not found", 404)
    agent.metrics.measure("session.renew", started)
    return json_response((session,))


async def _require_held(agent: Agent, request: Request, session_id: str) -> None:
    """Raises Denied unless the token may write sessions of the node that holds this one."""
    if request.access.sees_all:
        return
    await agent.log.read_barrier()
    held = agent.store.sessions.rows.get(session_id)
    if held is not None:
        request.access.require("session", "write", held.node)


def _id(request: Request) -> str:
    if not request.name:
        raise BadRequest("Missing session")
    return request.name


def _info(agent: Agent, request: Request) -> Result[Any]:
    return _live(agent, queries.session(agent.store, _id(request)))


def _encode_info(session: Session | None, _: Request) -> bytes:
    return encode_json((session,) if session is not None else ())


def _list(agent: Agent, request: Request) -> Result[Any]:
    return queries.session_list(agent.store)


def _node(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing node name")
    return _live(agent, queries.session_node(agent.store, request.name))


def _live(agent: Agent, result: Result[Any]) -> Result[Any]:
    return LiveResult(result.rows, result.index, result.topics, lambda: agent.store.sessions.index)


ROUTES = (
    Route(
        row="SE1", method="PUT", path="/v1/session/create",
        asks=True,
        acl="session:write", handle=_create,
        summary="create a session",
        example="""curl -X PUT -d '{"Name":"mine","TTL":"30s"}' localhost:8500/v1/session/create""",
    ),
    Route(
        row="SE2", method="PUT", path="/v1/session/destroy/",
        asks=True,
        acl="session:write", handle=_destroy,
        summary="end a session and free its locks",
        example="curl -X PUT localhost:8500/v1/session/destroy/$ID",
    ),
    Route(
        row="SE3", method="PUT", path="/v1/session/renew/",
        asks=True,
        acl="session:write", handle=_renew,
        summary="start the time to live of a session again",
        example="curl -X PUT localhost:8500/v1/session/renew/$ID",
    ),
    Route(
        row="SE4", method="GET", path="/v1/session/info/",
        visible=visible.sessions,
        acl="session:read", flags="B C", read=_info,
        encode=_encode_info, summary="one session, as a list", example="curl localhost:8500/v1/session/info/$ID",
    ),
    Route(
        row="SE5", method="GET", path="/v1/session/list",
        visible=visible.sessions,
        acl="session:read", flags="B C", read=_list,
        summary="all sessions", example="curl localhost:8500/v1/session/list",
    ),
    Route(
        row="SE5", method="GET", path="/v1/session/node/",
        visible=visible.sessions,
        acl="session:read", flags="B C", read=_node,
        summary="the sessions of a node", example="curl localhost:8500/v1/session/node/host-1",
    ),
)  # fmt: skip
