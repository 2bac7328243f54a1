"""`/v1/connect/intentions` by id: the old form, kept for clients that still use it.

Such an intention is a source with a `LegacyID` in its destination's `service-intentions` entry. An entry that was
written in the new form cannot be edited here.

Source: surface row CN5; texts of the golden scenario `intentions`. What may change here: nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.agent.decode import decode_body
from meshagent.agent.http.connect_ca import check_enabled
from meshagent.agent.http.intention_shapes import IntentionBody, shown
from meshagent.agent.http.intentions import edit_entry, every, without
from meshagent.agent.http.kv import TRUE
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog.entries.entry import changed, multierror
from meshagent.catalog.entries.service_intentions import ServiceIntentions, Source
from meshagent.catalog.queries import Result
from meshagent.connect.intentions import Intention
from meshagent.errors import BadRequest, Denied, InternalError
from meshagent.ids import is_uuid, new_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_BAD_ID = "failed config entry lookup: index error: UUID must be 36 characters"


def _find(agent: Agent, intention_id: str) -> Intention | None:
    return next((one for one in every(agent.store) if one.id == intention_id), None)


def _read(agent: Agent, request: Request) -> Result[Any]:
    check_enabled(agent)
    if not is_uuid(request.name):
        raise BadRequest(_BAD_ID)
    found = _find(agent, request.name)
    if found is not None:
        allows = request.access.allows
        if not (allows("intentions", "read", found.source) or allows("intentions", "read", found.destination)):
            raise Denied("Permission denied")
    topics = (("config-kind", "service-intentions"),)
    return Result(shown(found) if found is not None else None, agent.store.config.index, topics)


def _encode(rows: Any, request: Request) -> Response:
    if rows is None:
        return Response(404, b"Intention not found", bare=True)
    return Response(200, encode_json(rows), content_type=JSON, bare=True)


def _body(request: Request) -> IntentionBody:
    body = decode_body(IntentionBody, request.body, prefix="Failed to decode request body: ", error=InternalError)
    for word, value in (("SourceNS", body.SourceNS), ("DestinationNS", body.DestinationNS)):
        if value not in {"", "default", "*"}:
            raise BadRequest(f"Invalid {word}({value}): Namespaces is a Consul Enterprise feature")
    if not body.DestinationName:
        raise Denied("Permission denied")
    problems = []
    for word, value in (("SourceName", body.SourceName), ("DestinationName", body.DestinationName)):
        if not value:
            problems.append(f"{word} must be set")
        elif "*" in value and value != "*":
            problems.append(f"{word}: wildcard character '*' cannot be used with partial values")
    if body.Permissions:
        problems.append("Permissions must not be set")
    if body.Action not in {"allow", "deny"}:
        problems.append("Action must be set to 'allow' or 'deny'")
    if body.SourceType not in {"", "consul"}:
        problems.append("SourceType must be set to 'consul'")
    if problems:
        raise InternalError(multierror(problems))
    return body


def _legacy_only(entry: ServiceIntentions | None, destination: str) -> tuple[Source, ...]:
    held = (entry.sources or ()) if entry is not None else ()
    if any(not one.legacy_id for one in held):
        raise InternalError(
            f'cannot use legacy intention API to edit intentions with a destination of "{destination}" after editing '
            "them via a service-intentions config entry"
        )
    return held


async def _create(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    body = _body(request)
    request.access.require("intentions", "write", body.DestinationName, bare=True)
    new = _source(agent, body, new_uuid())
    destination = body.DestinationName

    def edit(old: ServiceIntentions | None) -> ServiceIntentions:
        held = _legacy_only(old, destination)
        if any(one.name == new.name for one in held):
            raise InternalError(f"duplicate intention found: {new.name} => {destination}")
        return _with(old, destination, (*held, new))

    await edit_entry(agent, request, destination, edit)
    return json_response({"ID": new.legacy_id})


async def _replace(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    await agent.log.read_barrier()
    body = _body(request)
    old = _known(agent, request.name, "modify")
    request.access.require("intentions", "write", old.destination, bare=True)
    if body.DestinationName != old.destination:
        raise InternalError("Cannot modify DestinationName of an intention: delete it and create another one")
    new = _source(agent, body, old.id, old.created)

    def edit(entry: ServiceIntentions | None) -> ServiceIntentions:
        held = _legacy_only(entry, old.destination)
        return _with(entry, old.destination, tuple(new if one.legacy_id == old.id else one for one in held))

    await edit_entry(agent, request, old.destination, edit)
    return json_response({"ID": old.id})


async def _delete(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    await agent.log.read_barrier()
    old = _known(agent, request.name, "delete")
    request.access.require("intentions", "write", old.destination, bare=True)
    await edit_entry(agent, request, old.destination, lambda entry: without(entry, lambda one: one.legacy_id == old.id))
    return Response(200, TRUE, content_type=JSON)


def _known(agent: Agent, intention_id: str, what: str) -> Intention:
    if not is_uuid(intention_id):
        raise InternalError(f"Intention lookup failed: {_BAD_ID}")
    found = _find(agent, intention_id)
    if found is None:
        raise InternalError(f"Cannot {what} non-existent intention: '{intention_id}'")
    return found


def _with(entry: ServiceIntentions | None, destination: str, sources: tuple[Source, ...]) -> ServiceIntentions:
    base = entry if entry is not None else ServiceIntentions(name=destination)
    return changed(base, sources=sources)  # type: ignore[no-any-return]


def _source(agent: Agent, body: IntentionBody, intention_id: str, created: str = "") -> Source:
    now = agent.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Source(
        name=body.SourceName,
        action=body.Action,
        description=body.Description,
        legacy_id=intention_id,
        legacy_meta=body.Meta or None,
        legacy_create_time=created or now,
        legacy_update_time=now,
    )


ROUTES = (
    Route(
        row="CN5", method="POST", path="/v1/connect/intentions",
        asks=True,
        acl="intentions:write", handle=_create,
        summary="create an intention (old form)",
        example='curl -X POST -d \'{"SourceName":"web","DestinationName":"db","Action":"allow"}\' '
        "localhost:8500/v1/connect/intentions",
    ),
    Route(
        row="CN5", method="GET", path="/v1/connect/intentions/",
        asks=True,
        acl="intentions:read", flags="B C",
        read=_read, encode=_encode,
        summary="one intention by id (old form)", example="curl localhost:8500/v1/connect/intentions/<id>",
    ),
    Route(
        row="CN5", method="PUT", path="/v1/connect/intentions/",
        asks=True,
        acl="intentions:write", handle=_replace,
        summary="replace an intention by id (old form)",
        example='curl -X PUT -d \'{"SourceName":"web","DestinationName":"db","Action":"deny"}\' '
        "localhost:8500/v1/connect/intentions/<id>",
    ),
    Route(
        row="CN5", method="DELETE", path="/v1/connect/intentions/",
        asks=True,
        acl="intentions:write", handle=_delete,
        summary="delete an intention by id (old form)",
        example="curl -X DELETE localhost:8500/v1/connect/intentions/<id>",
    ),
)  # fmt: skip
