"""`/v1/config`: config entries.

Rules of entries are in `catalog/entries/`; here are paths, parameters and answers.

Source: surface rows CF1-CF4; developer.hashicorp.com/consul/api-docs/config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.rows_visible import entry_seen
from meshagent.agent.decode import decode_body
from meshagent.agent.http.authored import authored
from meshagent.agent.http.kv import FALSE, TRUE, parse_uint64
from meshagent.agent.http.narrow import filtered
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json, text_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog import commands, queries
from meshagent.catalog.acl.resources import RESOURCES, Resource
from meshagent.catalog.entries.decoding import PREFIX
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.selectors import filter_kind
from meshagent.catalog.entries.table import CONFIG_ENTRIES, ConfigEntry, check, known_kind, parse
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES", "read_guard"]

#: What is no resource of its own but has names: intentions.
_NAMED = Resource(name="intentions", label="service")


def _read(agent: Agent, request: Request) -> Result[Any]:
    kind, slash, name = request.name.partition("/")
    store = agent.store
    result: Result[Any]
    if not kind:
        result = queries.config_entries(store)
        rows: Any = filtered(request, filter_kind(Entry), result.rows) if request.options.filter else result.rows
    else:
        row = known_kind(kind)
        if slash:
            result = queries.config_entry(store, kind, name)
            rows = result.rows
        else:
            result = queries.config_entries(store, kind)
            rows = filtered(request, filter_kind(row.type), result.rows) if request.options.filter else result.rows
    return LiveResult(rows, result.index, result.topics, lambda: store.config.index or 1)


def _require(request: Request, needed: str, name: str) -> None:
    """Ask for what a kind needs: of a resource with names, on the name of the entry. Raises Denied."""
    if needed:
        resource, _, access = needed.partition(":")
        request.access.require(resource, access, name if RESOURCES.get(resource, _NAMED).label else "")


def read_guard(agent: Agent, request: Request) -> None:
    """What reading the entry that the path names needs. Raises Denied."""
    kind, slash, name = request.name.partition("/")
    if slash and kind in CONFIG_ENTRIES:
        _require(request, CONFIG_ENTRIES[kind].read, name)
    else:
        _ = request.access.sees_all  # a token that does not exist is refused


def _visible(rows: Any, access: Access, request: Request) -> tuple[Any, bool]:
    if not isinstance(rows, list | tuple):
        return rows, False
    kept = [row for row in rows if entry_seen(row, access)]
    return kept, len(kept) < len(rows)


def _encode(rows: Any, request: Request) -> bytes | Response:
    if rows is None:
        kind, _, name = request.name.partition("/")
        return text_response(f'Config entry not found for "{kind}" / "{name}"', 404)
    return encode_json(rows)


async def _put(agent: Agent, request: Request) -> Response:
    raw: Any = decode_body(cast("Any", Any), request.body, prefix=PREFIX)
    entry = parse(raw)
    cas = _cas(request)
    check(entry)
    _require(request, CONFIG_ENTRIES[entry.kind].write, entry.name)
    command = commands.ConfigEntrySet(cast("ConfigEntry", entry), cas, agent.clock.now().isoformat())
    return Response(200, TRUE if await agent.write(authored(agent, request, command)) else FALSE, content_type=JSON)


async def _delete(agent: Agent, request: Request) -> Response:
    kind, slash, name = request.name.partition("/")
    if not slash:
        raise NotFound("Must provide both a kind and name to delete")
    if kind not in CONFIG_ENTRIES:
        raise BadRequest(f"invalid config entry kind: {kind}")
    _require(request, CONFIG_ENTRIES[kind].write, name)
    cas = _cas(request)
    command = commands.ConfigEntryDelete(kind, name, cas, agent.clock.now().isoformat())
    done = await agent.write(authored(agent, request, command))
    if cas is None:
        return Response(200, b"{}", content_type=JSON)
    return Response(200, TRUE if done else FALSE, content_type=JSON)


def _cas(request: Request) -> int | None:
    text = request.query.get("cas")
    return parse_uint64(text) if text else None


ROUTES = (
    Route(
        row="CF1", method="PUT", path="/v1/config",
        asks=True,
        acl="of the kind", handle=_put,
        summary="write a config entry (?cas: only over the one with that ModifyIndex)",
        example='curl -X PUT -d \'{"Kind":"service-defaults","Name":"a","Protocol":"http"}\' localhost:8500/v1/config',
    ),
    Route(
        row="CF2", method="GET", path="/v1/config/",
        guard=read_guard, visible=_visible,
        acl="of the kind", flags="B C F", filter="config_entry",
        read=_read, encode=_encode,
        summary="the entries of a kind, or one entry", example="curl localhost:8500/v1/config/service-defaults/web",
    ),
    Route(
        row="CF4", method="DELETE", path="/v1/config/",
        asks=True,
        acl="of the kind", handle=_delete,
        summary="delete a config entry (?cas: only the one with that ModifyIndex)",
        example="curl -X DELETE localhost:8500/v1/config/service-defaults/web",
    ),
)  # fmt: skip
