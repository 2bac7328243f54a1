"""`/v1/query`: prepared queries.

The definitions are kept by `catalog/prepared_queries.py` and run by `catalog/query_execution.py`; here they are read,
checked and dressed. A query that holds a token runs with that instead of the asker's. An execution is never answered
from kept bytes, because the order is drawn anew for each; with `?cached` it is, until something under it changes.

Source: surface rows PQ1-PQ5, C22; developer.hashicorp.com/consul/api-docs/query. What may change here: nothing
that a client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl import visible
from meshagent.agent.acl.access import Access, not_found
from meshagent.agent.acl.visible import instance_seen
from meshagent.agent.decode import decode_body
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import BadOption, Request, parse_bool
from meshagent.agent.http.response import JSON, Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import FILTERED
from meshagent.catalog import commands, queries, query_execution
from meshagent.catalog.model import Check, Node, PreparedQuery, QueryDns, Service, ServiceEntry
from meshagent.catalog.prepared_queries import validate
from meshagent.catalog.queries import Result
from meshagent.catalog.query_execution import Source, execute
from meshagent.errors import InternalError, NotFound
from meshagent.ids import is_uuid

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What answers of executions and explanations say of themselves in their body. `LastContact` in nanoseconds."""

    Index: int = 1
    LastContact: int
    KnownLeader: bool
    ConsistencyLevel: str
    NotModified: bool = False
    Backend: int = 0
    ResultsFilteredByACLs: bool = False


class Instance(msgspec.Struct, frozen=True):
    """An instance as executions show it: as O5, but what is empty is null."""

    Node: Node
    Service: Service
    Checks: tuple[Check, ...] | None


class Executed(Meta, frozen=True, kw_only=True):
    """The answer of an execution (surface row PQ3)."""

    Service: str
    Nodes: list[Instance]
    DNS: QueryDns
    Datacenter: str
    PeerName: str
    Failovers: int


class Explained(Meta, frozen=True, kw_only=True):
    """The answer of an explanation (surface row PQ4)."""

    Query: PreparedQuery


def _meta(agent: Agent, request: Request) -> dict[str, Any]:
    log = agent.log
    return {
        "LastContact": log.last_contact_ms * 1_000_000,
        "KnownLeader": bool(log.leader),
        "ConsistencyLevel": request.options.consistency or "leader",
    }


# --- definitions -----------------------------------------------------------------------------------------------


def _list(agent: Agent, request: Request) -> Result[Any]:
    return queries.prepared_query_list(agent.store)


def _get(agent: Agent, request: Request) -> Result[Any]:
    _require_uuid(request.name)
    result = queries.prepared_query(agent.store, request.name)
    if result.rows is not None:
        _require_read(request, result.rows)
    return result


def _require_read(request: Request, query: PreparedQuery) -> None:
    """Raises Denied; whoever knows the id of a query without a name may see it."""
    if query.name or query.template.type:
        request.access.require("query", "read", query.name, bare=True)


def _require_write(request: Request, query: PreparedQuery) -> None:
    """Raises Denied; a query without a name belongs to its session."""
    if query.name or query.template.type:
        request.access.require("query", "write", query.name)


def _encode_one(query: PreparedQuery | None, _: Request) -> bytes:
    if query is None:
        raise NotFound("Query not found")
    return encode_json([query])


def _require_uuid(text: str, before: str = "") -> None:
    if not is_uuid(text):
        why = "UUID must be 36 characters" if len(text) != 36 else f"invalid UUID {text!r}"
        raise InternalError(f"{before}failed prepared query lookup: index error: {why}")


async def _create(agent: Agent, request: Request) -> Response:
    query = decode_body(PreparedQuery, request.body)
    require_local(agent, request)
    _require_write(request, query)
    if query.id:
        raise InternalError("ID must be empty when creating a new prepared query")
    query = msgspec.structs.replace(query, id=agent.new_id())
    await _set(agent, query)
    return json_response({"ID": query.id})


async def _update(agent: Agent, request: Request) -> Response:
    query = decode_body(PreparedQuery, request.body)
    require_local(agent, request)
    await agent.log.read_barrier()  # whether it is there is asked of what the leader has
    held = _existing(agent, request.name)
    _require_write(request, held)
    _require_write(request, query)
    if query.token == "<hidden>" and held.token:  # noqa: S105  read back by who may not see it
        query = msgspec.structs.replace(query, token=held.token)
    await _set(agent, msgspec.structs.replace(query, id=held.id))
    return Response(200)


async def _delete(agent: Agent, request: Request) -> Response:
    require_local(agent, request)
    await agent.log.read_barrier()
    held = _existing(agent, request.name)
    _require_write(request, held)
    await _apply(agent, commands.PreparedQueryDelete(held.id))
    return Response(200)


def _existing(agent: Agent, query_id: str) -> PreparedQuery:
    """A definition that is there."""
    _require_uuid(query_id, "Prepared Query lookup failed: ")
    found = queries.prepared_query(agent.store, query_id).rows
    if found is None:
        raise InternalError(f"Cannot modify non-existent prepared query: '{query_id}'")
    return found


async def _set(agent: Agent, query: PreparedQuery) -> None:
    validate(query)
    await _apply(agent, commands.PreparedQuerySet(query))


async def _apply(agent: Agent, command: commands.Command) -> None:
    started = agent.clock.monotonic()
    try:
        await agent.write(command)
    except InternalError as error:
        raise InternalError(f"raft apply failed: {error}") from None
    finally:
        agent.metrics.measure("prepared-query.apply", started)


# --- running ---------------------------------------------------------------------------------------------------


def _resolve(agent: Agent, request: Request) -> PreparedQuery:
    query = agent.store.prepared_queries.resolve(request.name)
    if query is None:
        raise NotFound("Query not found")
    return query


def _execute(agent: Agent, request: Request) -> Result[Any]:
    limit, connect = _limit(request), _connect(request)
    started = agent.clock.monotonic()
    done = execute(
        agent.store,
        _resolve(agent, request),
        Source(request.asker or agent.node_name, _caller(request)),
        agent.rng,
        datacenter=agent.datacenter,
        near=request.options.near,
        limit=limit,
        connect=connect,
    )
    agent.metrics.measure("prepared-query.execute", started)
    access = _running_access(agent, request, done.query)
    kept = done.entries if access.sees_all else [entry for entry in done.entries if instance_seen(entry, access)]
    hidden = len(kept) < len(done.entries) and not access.anonymous
    meta = {**_meta(agent, request), "ResultsFilteredByACLs": hidden}
    return Result(_executed(done, kept, meta), 1, done.topics)


def _running_access(agent: Agent, request: Request, query: PreparedQuery) -> Access:
    """What decides about the results: the token of the query, or that of who asks. Raises Denied."""
    guardian: Guardian | None = agent.extras.get("acl")
    if guardian is None or not query.token:
        return request.access
    identity = guardian.held(query.token)
    if identity is None:
        raise not_found()
    return identity.access


def _encode_executed(rows: Executed, request: Request) -> bytes | Response:
    body = encode_json(rows)
    return Response(200, body, (FILTERED,), JSON) if rows.ResultsFilteredByACLs else body


def _executed(done: query_execution.Execution, entries: list[ServiceEntry], meta: dict[str, Any]) -> Executed:
    return Executed(
        Service=done.query.service.service,
        Nodes=[_instance(entry) for entry in entries],
        DNS=done.query.dns,
        Datacenter=done.datacenter,
        PeerName=done.peer,
        Failovers=done.failovers,
        **meta,
    )


def _instance(entry: ServiceEntry) -> Instance:
    service = entry.service
    if not service.tags:
        service = msgspec.structs.replace(service, tags=None)
    checks = tuple(
        check if check.service_tags else msgspec.structs.replace(check, service_tags=None) for check in entry.checks
    )
    return Instance(entry.node, service, checks or None)


def _explain(agent: Agent, request: Request) -> Result[Any]:
    started = agent.clock.monotonic()
    query = _resolve(agent, request)
    _require_read(request, query)
    agent.metrics.measure("prepared-query.explain", started)
    return Result(
        Explained(Query=visible.redacted(query, request.access), **_meta(agent, request)), 1, ("prepared-queries",)
    )


def _limit(request: Request) -> int:
    text = request.query.get("limit")
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise BadOption(f'Bad limit: strconv.Atoi: parsing "{text}": invalid syntax')
    if len(digits) > 18:
        raise BadOption(f'Bad limit: strconv.Atoi: parsing "{text}": value out of range')
    return int(text)


def _connect(request: Request) -> bool:
    text = request.query.get("connect")
    if not text:
        return False
    try:
        return parse_bool(text)
    except ValueError as error:
        raise BadOption(f"Error parsing 'connect' value: {error}") from None


def _caller(request: Request) -> str:
    """Whose address `_ip` means: the first hop of `X-Forwarded-For`, else who is connected (surface row C22)."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return forwarded.partition(",")[0].strip() or request.remote


ROUTES = (
    Route(
        row="PQ2", method="GET", path="/v1/query",
        visible=visible.prepared_queries,
        acl="query:read", flags="C", tenancy="", effective=True,
        read=_list, summary="all prepared queries", example="curl localhost:8500/v1/query",
    ),
    Route(
        row="PQ1", method="POST", path="/v1/query",
        asks=True,
        acl="query:write", tenancy="", handle=_create,
        summary="create a prepared query", example="curl -X POST -d @query.json localhost:8500/v1/query",
    ),
    Route(
        row="PQ2", method="GET", path="/v1/query/",
        asks=True, visible=visible.prepared_queries,
        acl="query:read", flags="C", tenancy="", effective=True,
        read=_get, encode=_encode_one, summary="one prepared query",
        example="curl localhost:8500/v1/query/8f246b77-f3e1-ff88-5b48-8ec93abf3e05",
    ),
    Route(
        row="PQ2", method="PUT", path="/v1/query/",
        asks=True,
        acl="query:write", tenancy="", handle=_update,
        summary="replace a prepared query",
        example="curl -X PUT -d @query.json localhost:8500/v1/query/8f246b77-f3e1-ff88-5b48-8ec93abf3e05",
    ),
    Route(
        row="PQ2", method="DELETE", path="/v1/query/",
        asks=True,
        acl="query:write", tenancy="", handle=_delete,
        summary="delete a prepared query",
        example="curl -X DELETE localhost:8500/v1/query/8f246b77-f3e1-ff88-5b48-8ec93abf3e05",
    ),
    Route(
        row="PQ3", method="GET", path="/v1/query/",
        asks=True,
        suffix="/execute", acl="of the query", flags="C Ks", tenancy="",
        effective=True, volatile=True, read=_execute, encode=_encode_executed, summary="run a prepared query",
        example="curl localhost:8500/v1/query/geo-web/execute?near=_agent",
    ),
    Route(
        row="PQ4", method="GET", path="/v1/query/",
        asks=True,
        suffix="/explain", acl="query:read", flags="C", tenancy="",
        effective=True, volatile=True, read=_explain, summary="show how a query would run",
        example="curl localhost:8500/v1/query/geo-web/explain",
    ),
)  # fmt: skip
