"""`/v1/kv/*`: reading, listing, writing and deleting keys.

Source: surface rows KV1-KV6; developer.hashicorp.com/consul/api-docs/kv. The plain PUT has a shortcut in `putpath.py`
that must answer the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from meshagent.agent.acl import visible
from meshagent.agent.http.authored import authored
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog import commands, queries
from meshagent.catalog.model import KVEntry
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["FALSE", "ROUTES", "TRUE", "parse_uint64"]

TRUE = b"true"
FALSE = b"false"

_MAX_UINT64 = 2**64 - 1
_DIGITS = re.compile(r"[0-9]+\Z", re.ASCII)
_RAW_HEADERS = (("Content-Security-Policy", "sandbox"), ("X-Content-Type-Options", "nosniff"))


def _read(agent: Agent, request: Request) -> Result[Any]:
    query, store, name = request.query, agent.store, request.name
    result: Result[Any]
    if query.has("keys"):
        separator = query.get("separator") or query.get("seperator") or ""
        result = queries.kv_keys(store, name, separator)
    elif query.has("recurse"):
        result = queries.kv_list(store, name)
    else:
        if not name:
            raise BadRequest("Missing key name")
        result = queries.kv_get(store, name)
        if result.rows is None:
            return LiveResult(None, result.index, result.topics, lambda: store.kv.index)
        return result
    if not result.rows:
        return LiveResult(result.rows, result.index, result.topics, lambda: store.kv.prefix_index(name))
    return result


def _read_guard(agent: Agent, request: Request) -> None:
    query, name = request.query, request.name
    if request.access.sees_all:
        return
    if not (query.has("keys") or query.has("recurse")):
        request.access.require("key", "read", name)
    elif agent.config.acl.enable_key_list_policy:
        request.access.require("key", "list", name)


def _encode(rows: KVEntry | list[KVEntry] | list[str] | None, request: Request) -> bytes | Response:
    if rows is None or (not rows and not (request.query.has("keys") and not request.name)):
        return Response(404, content_type=None)
    if isinstance(rows, list):
        return encode_json(rows)
    if request.query.has("raw"):
        return Response(200, rows.value or b"", _RAW_HEADERS, "text/plain")
    return encode_json((rows,))


async def _put(agent: Agent, request: Request) -> Response:
    key = _key(agent, request)
    query = request.query
    _no_conflict(query, ("acquire", "cas", "release"))
    request.access.require("key", "write", key)
    flags = parse_uint64(query.get("flags") or "0")
    value = request.body
    command: commands.Recorded
    if query.has("cas"):
        command = commands.KVCas(key, value, flags, parse_uint64(query.get("cas") or ""))
    elif query.has("acquire"):
        command = commands.KVLock(key, value, flags, query.get("acquire") or "")
    elif query.has("release"):
        command = commands.KVUnlock(key, value, flags, query.get("release") or "")
    else:
        command = commands.KVSet(key, value, flags)
    return await _apply(agent, request, command)


async def _delete(agent: Agent, request: Request) -> Response:
    query = request.query
    require_local(agent, request)
    _no_conflict(query, ("cas", "recurse"))
    if query.has("recurse"):
        request.access.require_tree("key", request.name)
        return await _apply(agent, request, commands.KVDeleteTree(request.name))
    key = _key(agent, request)
    request.access.require("key", "write", key)
    if query.has("cas"):
        index = parse_uint64(query.get("cas") or "")
        return await _apply(agent, request, commands.KVDeleteCas(key, index))
    return await _apply(agent, request, commands.KVDelete(key))


async def _apply(agent: Agent, request: Request, command: commands.Recorded) -> Response:
    if isinstance(command, commands.KVLock):
        await agent.log.read_barrier()  # this server must have seen which sessions have ended
        if agent.sessions.delayed(command.key):
            return Response(200, FALSE, content_type=JSON)
    started = agent.clock.monotonic()
    try:
        done = await agent.write(authored(agent, request, command))
    except MeshError as error:
        if error.http_status == 500 and not error.retryable:
            raise InternalError(f"raft apply failed: {error}") from error
        raise
    finally:
        agent.metrics.measure("kvs.apply", started)
    return Response(200, TRUE if done else FALSE, content_type=JSON)


def _key(agent: Agent, request: Request) -> str:
    if not request.name:
        raise BadRequest("Missing key name")
    require_local(agent, request)
    return request.name


def _no_conflict(query: Any, names: tuple[str, ...]) -> None:
    """At most one of `names`, which are in alphabetical order."""
    found = [name for name in names if query.has(name)]
    if len(found) > 1:
        pairs = "&".join(f"{quote_plus(name)}={quote_plus(query.get(name))}" for name in found)
        raise BadRequest(f"Conflicting flags: {pairs}\n")


def parse_uint64(text: str) -> int:
    if not _DIGITS.match(text):
        raise InternalError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    value = int(text) if len(text) <= 40 else _MAX_UINT64 + 1
    if value > _MAX_UINT64:
        raise InternalError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return value


ROUTES = (
    Route(
        row="KV1", method="GET", path="/v1/kv/",
        guard=_read_guard, visible=visible.keys,
        acl="key:read", flags="B C", read=_read, encode=_encode,
        summary="one key (?raw: its bytes), the keys of a prefix (?recurse) or their names (?keys)",
        example="curl localhost:8500/v1/kv/app/config?raw",
    ),
    Route(
        row="KV5", method="PUT", path="/v1/kv/",
        asks=True,
        acl="key:write", handle=_put, body_limit="kv",
        summary="write a key, compare-and-set it (?cas), lock (?acquire) or unlock it (?release)",
        example="curl -X PUT -d value localhost:8500/v1/kv/app/config",
    ),
    Route(
        row="KV6", method="DELETE", path="/v1/kv/",
        asks=True,
        acl="key:write", handle=_delete,
        summary="delete a key, or all keys of a prefix (?recurse)",
        example="curl -X DELETE localhost:8500/v1/kv/app/config",
    ),
)  # fmt: skip
