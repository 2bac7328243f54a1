"""`/v1/connect/intentions` by names: list, exact, match, check, explain; and `/v1/agent/connect/authorize`.

They read and edit `service-intentions` entries; decisions are made in `connect/intentions.py`. The old form by id is in
`intentions_legacy.py`.

Source: surface rows A26, CN3, CN4, CN6, CN7; developer.hashicorp.com/consul/api-docs/connect/intentions. `explain` is
our own. What may change here: nothing that a client of Consul reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl import visible
from meshagent.agent.acl.guards import needs, parameter
from meshagent.agent.decode import decode_body
from meshagent.agent.http.authored import authored
from meshagent.agent.http.connect_ca import check_enabled, mesh_of
from meshagent.agent.http.intention_shapes import IntentionBody, default_in_force, default_of, service_of, shown
from meshagent.agent.http.kv import TRUE
from meshagent.agent.http.narrow import filtered
from meshagent.agent.http.request import BadOption, Request
from meshagent.agent.http.response import JSON, Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog import commands
from meshagent.catalog.entries.entry import changed
from meshagent.catalog.entries.service_intentions import ServiceIntentions, Source
from meshagent.catalog.entries.table import check
from meshagent.catalog.queries import Result
from meshagent.catalog.store import Store
from meshagent.connect import spiffe
from meshagent.connect.intentions import Default, Intention, decide, matching, matching_source, of_entries, of_entry
from meshagent.connect.permissions import HttpRequest, decide_request
from meshagent.errors import BadRequest, Conflict, Denied, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES", "edit_entry", "entry_of", "every"]

_KIND = "service-intentions"
_TOPIC = ("config-kind", _KIND)
#: How often an edit is tried again when the entry was changed under it.
_TRIES = 16


def entry_of(store: Store, name: str) -> ServiceIntentions | None:
    """The entry of a destination."""
    found = store.config.get(_KIND, name)
    return found if isinstance(found, ServiceIntentions) and found.name == name else None


def every(store: Store) -> list[Intention]:
    """All intentions by precedence."""
    return of_entries(entry for entry in store.config.of_kind(_KIND) if isinstance(entry, ServiceIntentions))


def _result(store: Store, rows: Any) -> Result[Any]:
    return Result(rows, store.config.index, (_TOPIC,))


# --- list, exact, match -----------------------------------------------------------------------------------------------


def _list(agent: Agent, request: Request) -> Result[Any]:
    check_enabled(agent)
    rows = [shown(one) for one in every(agent.store)]
    return _result(agent.store, filtered(request, "intention", rows))


def _pair(request: Request) -> tuple[str, str]:
    names = []
    for word in ("source", "destination"):
        text = request.query.get(word)
        if not text:
            raise BadOption(f"required query parameter '{word}' not set")
        names.append(service_of(text))
    return names[0], names[1]


def _exact(agent: Agent, request: Request) -> Result[Any]:
    check_enabled(agent)
    source, destination = _pair(request)
    entry = entry_of(agent.store, destination)
    if entry is not None and not _seen(request, source, destination):
        raise Denied("Permission denied")
    found = [one for one in (of_entry(entry) if entry is not None else ()) if one.source == source and not one.peer]
    return _result(agent.store, shown(found[0]) if found else None)


def _seen(request: Request, source: str, destination: str) -> bool:
    allows = request.access.allows
    return allows("intentions", "read", source) or allows("intentions", "read", destination)


def _encode_exact(rows: Any, request: Request) -> Response:
    if rows is None:
        return Response(404, b"Intention not found", bare=True)
    return Response(200, encode_json(rows), content_type=JSON, bare=True)


def _match_guard(agent: Agent, request: Request) -> None:
    for name in request.query.all("name"):
        request.access.require("intentions", "read", name)


def _match(agent: Agent, request: Request) -> Result[Any]:
    check_enabled(agent)
    by = request.query.get("by")
    if by is None:
        raise BadOption("required query parameter 'by' not set")
    if by not in {"source", "destination"}:
        raise BadOption("'by' parameter must be one of 'source' or 'destination'")
    names = request.query.all("name")
    if not names:
        raise BadOption("required query parameter 'name' not set")
    store = agent.store
    rows: dict[str, Any] = {}
    for name in names:
        service = service_of(name, "match entry")
        if by == "source":
            found = matching_source(every(store), service)
        else:
            found = matching(lambda wanted: entry_of(store, wanted), service)
        rows[name] = [shown(one) for one in found] or None
    return _result(store, rows)


# --- decisions --------------------------------------------------------------------------------------------------------


async def _check(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    source, destination = _decision_names(request)
    await agent.log.read_barrier()
    # Consul looks at the default of ACLs alone here, and at default_intention_policy when it authorizes.
    default = Default(default_of(agent).allow if not agent.config.default_intention_policy else _acl_allows(agent))
    found = matching(lambda name: entry_of(agent.store, name), destination)
    return json_response({"Allowed": decide(found, source, destination, default).allowed})


def _acl_allows(agent: Agent) -> bool:
    acl = agent.config.acl
    return not acl.enabled or acl.default_policy == "allow"


def _decision_names(request: Request) -> tuple[str, str]:
    _pair(request)
    kind = request.query.get("source-type")
    if kind and kind != "consul":
        raise BadOption(f'unsupported SourceType: "{kind}"')
    source = service_of(request.query.get("source") or "", "source")
    return source, service_of(request.query.get("destination") or "", "destination")


async def _explain(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    source, destination = _decision_names(request)
    await agent.log.read_barrier()
    query = request.query
    headers: dict[str, tuple[str, ...]] = {}
    for name, _, value in (pair.partition(":") for pair in query.all("header") if ":" in pair):
        key = name.strip().lower()
        headers[key] = (*headers.get(key, ()), value.strip())
    asked = HttpRequest((query.get("method") or "GET").upper(), query.get("path") or "/", dict(headers))
    default = default_of(agent)
    found = matching(lambda name: entry_of(agent.store, name), destination)
    with_request = query.has("path") or query.has("method") or bool(headers)
    decision = (
        decide_request(found, source, destination, asked, default)
        if with_request
        else decide(found, source, destination, default)
    )
    chosen = decision.intention
    considered = [{**shown(one), "Applies": one.covers(source, destination), "Decides": one is chosen} for one in found]
    return json_response(
        {
            "Allowed": decision.allowed,
            "Audited": decision.audited,
            "Reason": decision.reason,
            "Intention": shown(chosen) if chosen is not None else None,
            "Default": {"Allowed": default.allow, "Reason": default.reason},
            "Considered": considered,
        }
    )


class _Authorize(msgspec.Struct):
    Target: str = ""
    ClientCertURI: str = ""
    ClientCertSerial: str = ""


async def _authorize(agent: Agent, request: Request) -> Response:
    mesh = mesh_of(agent)
    asked = decode_body(_Authorize, request.body)
    if not asked.Target:
        raise BadRequest("Target service must be specified")
    try:
        identity = spiffe.parse(asked.ClientCertURI)
    except RemoteProtocolError:
        raise BadRequest("ClientCertURI not a valid Connect identifier") from None
    if identity.kind != spiffe.SERVICE:
        raise BadRequest("ClientCertURI not a valid Service identifier")
    if identity.partition != "default":
        raise BadRequest(f'Mismatched partitions: "{identity.partition}" != "default"')
    request.access.require("service", "write", asked.Target)
    await mesh.known()
    default = default_in_force(agent)
    found = matching(lambda name: entry_of(agent.store, name), asked.Target)
    # There is only the default namespace: nobody of another one is spoken of.
    source = identity.name if identity.namespace == "default" else ""
    decision = decide(found if source else (), source, asked.Target, default)
    mesh.note_decision(source, asked.Target, decision)
    age_s = mesh.asked_before(asked.Target)
    cache = (("X-Cache", "MISS"),) if age_s is None else (("Age", str(age_s)), ("X-Cache", "HIT"))
    return json_response({"Authorized": decision.allowed, "Reason": decision.reason}, headers=cache)


# --- writes -----------------------------------------------------------------------------------------------------------


async def edit_entry(
    agent: Agent,
    request: Request,
    destination: str,
    edit: Callable[[ServiceIntentions | None], ServiceIntentions | None],
) -> None:
    """Replace the entry of a destination by what `edit` makes of it; None deletes it. Tried again when it was changed.

    Raises:
        InternalError: the new entry is not valid.
    """

    def write(command: commands.Recorded) -> Awaitable[Any]:
        return agent.write(authored(agent, request, command))

    for _ in range(_TRIES):
        await agent.log.read_barrier()
        old = entry_of(agent.store, destination)
        new = edit(old)
        cas = old.modify_index if old is not None else 0
        at = agent.clock.now().isoformat()
        if new is None:
            if old is None or await write(commands.ConfigEntryDelete(_KIND, destination, cas, at)):
                return
            continue
        new = changed(new, name=destination).normalised()
        check(new)
        if await write(commands.ConfigEntrySet(new, cas, at)):
            return
    raise Conflict("the intentions of the destination are being changed by others: try again")


async def _put_exact(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    source, destination = _pair(request)
    request.access.require("intentions", "write", destination, bare=True)
    body = decode_body(IntentionBody, request.body)
    new = Source(
        name=source,
        action=body.Action,
        permissions=body.permissions(),
        type=body.SourceType or "consul",
        description=body.Description,
    )

    def edit(old: ServiceIntentions | None) -> ServiceIntentions:
        entry = old if old is not None else ServiceIntentions(name=destination)
        held = list(entry.sources or ())
        for at, one in enumerate(held):
            if one.name == source and not one.peer:
                held[at] = new
                break
        else:
            held.append(new)
        meta = body.Meta if body.Meta is not None else entry.meta
        return changed(entry, sources=tuple(held), meta=meta)  # type: ignore[no-any-return]

    await edit_entry(agent, request, destination, edit)
    return Response(200, TRUE, content_type=JSON)


async def _delete_exact(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    source, destination = _pair(request)
    request.access.require("intentions", "write", destination, bare=True)
    await edit_entry(
        agent, request, destination, lambda old: without(old, lambda one: one.name == source and not one.peer)
    )
    return Response(200, TRUE, content_type=JSON)


def without(entry: ServiceIntentions | None, gone: Callable[[Source], bool]) -> ServiceIntentions | None:
    """The entry without some sources; None when none is left."""
    kept = tuple(one for one in (entry.sources or () if entry is not None else ()) if not gone(one))
    if entry is None or not kept:
        return None
    return changed(entry, sources=kept)  # type: ignore[no-any-return]


ROUTES = (
    Route(
        row="A26", method="POST", path="/v1/agent/connect/authorize",
        asks=True,
        acl="service:write", flags="Kb",
        handle=_authorize,
        summary="whether an identity may call a service here",
        example='curl -X POST -d \'{"Target":"db","ClientCertURI":"spiffe://.../svc/web"}\' '
        "localhost:8500/v1/agent/connect/authorize",
    ),
    Route(
        row="CN3", method="GET", path="/v1/connect/intentions",
        visible=visible.intentions,
        acl="intentions:read", flags="B C F",
        filter="intention", read=_list, meta_on_error=True,
        summary="all intentions by precedence", example="curl localhost:8500/v1/connect/intentions",
    ),
    Route(
        row="CN4", method="GET", path="/v1/connect/intentions/exact",
        asks=True,
        acl="intentions:read", flags="B C",
        read=_exact, encode=_encode_exact,
        summary="the intention of a source and a destination",
        example="curl 'localhost:8500/v1/connect/intentions/exact?source=web&destination=db'",
    ),
    Route(
        row="CN4", method="PUT", path="/v1/connect/intentions/exact",
        asks=True,
        acl="intentions:write", handle=_put_exact,
        summary="set the intention of a source and a destination",
        example="curl -X PUT -d '{\"Action\":\"deny\"}' "
        "'localhost:8500/v1/connect/intentions/exact?source=web&destination=db'",
    ),
    Route(
        row="CN4", method="DELETE", path="/v1/connect/intentions/exact",
        asks=True,
        acl="intentions:write", handle=_delete_exact,
        summary="delete it",
        example="curl -X DELETE 'localhost:8500/v1/connect/intentions/exact?source=web&destination=db'",
    ),
    Route(
        row="CN6", method="GET", path="/v1/connect/intentions/match",
        guard=_match_guard,
        acl="intentions:read", flags="B C Kb",
        effective=True, read=_match,
        summary="the intentions that concern a service",
        example="curl 'localhost:8500/v1/connect/intentions/match?by=destination&name=db'",
    ),
    Route(
        row="CN7", method="GET", path="/v1/connect/intentions/check",
        guard=needs("service", "read", parameter("destination")),
        acl="service:read", handle=_check,
        summary="whether a connection would be allowed",
        example="curl 'localhost:8500/v1/connect/intentions/check?source=web&destination=db'",
    ),
    Route(
        row="CN7", method="GET", path="/v1/connect/intentions/explain",
        guard=needs("intentions", "read", parameter("destination")),
        acl="intentions:read", handle=_explain,
        summary="which intention decides about a connection or request, and why (ours)",
        example="curl 'localhost:8500/v1/connect/intentions/explain?source=web&destination=db&path=/a&method=GET'",
    ),
)  # fmt: skip
