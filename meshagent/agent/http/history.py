"""`/v1/history/kv/<key>` and `/v1/history/config/<kind>/<name>`: the versions of a key or config entry, oldest first.

Source: ours (`catalog/history.py`); who may read a key or an entry may read what it was. What may change here: fields
of a version may be added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.guards import named, needs
from meshagent.agent.http.config import read_guard
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, text_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog.entries.table import known_kind
from meshagent.catalog.history import Version, entry_of
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_OFF = "Versions are not kept here: history.versions is 0 on the servers"


def _key_versions(agent: Agent, request: Request) -> Result[Any]:
    if not request.name:
        raise BadRequest("Missing key name")
    store, rows = agent.store, agent.store.history.kv.of(request.name)
    found = (agent.config.history.versions > 0, tuple(_shown(row) | _key(row) for row in rows))
    index = rows[-1].index if rows else store.kv.index
    return LiveResult(found, index or 1, (("kv", request.name),), lambda: store.kv.index or 1)


def _entry_versions(agent: Agent, request: Request) -> Result[Any]:
    kind, slash, name = request.name.partition("/")
    if not slash or not name:
        raise BadRequest("Must provide both a kind and name")
    known_kind(kind)
    store, key = agent.store, f"{kind}/{name.lower()}"
    rows = store.history.config.of(key)
    found = (agent.config.history.versions > 0, tuple(_shown(row) | {"Entry": entry_of(row)} for row in rows))
    return LiveResult(found, store.config.index or 1, (("config-entry", key),), lambda: store.config.index or 1)


def _shown(row: Version) -> dict[str, Any]:
    return {
        "Version": row.index,
        "Time": row.at,
        "AccessorID": row.accessor,
        "TokenDescription": row.name,
        "Agent": row.agent,
        "Deleted": row.value is None,
    }


def _key(row: Version) -> dict[str, Any]:
    return {"Flags": row.flags, "Value": row.value}


def _encode(found: tuple[bool, tuple[dict[str, Any], ...]], request: Request) -> bytes | Response:
    kept, rows = found
    if not kept and not rows:
        return text_response(_OFF, 404)
    return encode_json(rows)


ROUTES = (
    Route(
        row="KV1", method="GET", path="/v1/history/kv/",
        guard=needs("key", "read", named),
        acl="key:read", flags="B C", read=_key_versions, encode=_encode,
        summary="what a key was, who wrote it and when, oldest first (of our own; `history.versions`)",
        example="curl localhost:8500/v1/history/kv/app/config",
    ),
    Route(
        row="CF2", method="GET", path="/v1/history/config/",
        guard=read_guard,
        acl="of the kind", flags="B C", read=_entry_versions, encode=_encode,
        summary="what a config entry was, who wrote it and when, oldest first (of our own; `history.versions`)",
        example="curl localhost:8500/v1/history/config/service-defaults/web",
    ),
)  # fmt: skip
