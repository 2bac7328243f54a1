"""`/v1/connect/edges` and `/v1/connect/tap`: what the sidecars of the datacenter saw, and what they see now. Ours.

`top`, `tap` and `intention suggest` read them. They need `operator:read`; what concerns one service that is named is
told to who may read its intentions, too.

Source: our own; agent/sidecars/README.md. What may change here: fields grow.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.http.connect_ca import check_enabled
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, StreamingResponse
from meshagent.agent.http.routes import Route
from meshagent.agent.sidecars.messages import Ask, Said
from meshagent.errors import BadRequest, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.agent.acl.access import Access
    from meshagent.agent.core import Agent
    from meshagent.agent.sidecars.everywhere import Everywhere

__all__ = ["MAX_ANSWER_BYTES", "ROUTES"]

#: Of all sidecars together.
MAX_ANSWER_BYTES = 64 << 20


class _Page(msgspec.Struct):
    """What a sidecar says of itself."""

    service: str
    proxy_id: str
    edges: msgspec.Raw


class SidecarEdges(msgspec.Struct, rename="pascal"):
    """One sidecar: `edges` are counts since it started, as its own socket tells them."""

    node: str
    service: str
    proxy_id: str = msgspec.field(name="ProxyID")
    edges: msgspec.Raw


class Missing(msgspec.Struct, rename="pascal"):
    """An agent, or a sidecar of its host, of which nothing came."""

    node: str
    proxy_id: str = msgspec.field(name="ProxyID")
    reason: str


class Edges(msgspec.Struct, rename="pascal"):
    """The answer."""

    sidecars: list[SidecarEdges]
    missing: list[Missing]


def _sees_all(access: Access, service: str) -> bool:
    """Whether it may read everything, and so the names of who does not answer. Raises Denied: not even `service`."""
    if access.allows("operator", "read"):
        return True
    if service:
        access.require("intentions", "read", service)
    else:
        access.require("operator", "read")
    return False


async def _edges(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    service = request.query.get("service") or ""
    every = _sees_all(request.access, service)
    everywhere: Everywhere = agent.extras["sidecars"]
    found = Edges([], [])
    size = 0
    async with aclosing(everywhere.ask(Ask("edges", service))) as answers:
        async for said in answers:
            problem = said.problem
            if said.body:
                size += len(said.body)
                try:
                    page = msgspec.json.decode(said.body, type=_Page)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    problem = f"its answer does not decode: {error}"
                else:
                    if size > MAX_ANSWER_BYTES:
                        problem = "there is too much to tell: name a service"
                    else:
                        found.sidecars.append(SidecarEdges(said.node, page.service, page.proxy_id, page.edges))
            if problem and _may_name(request.access, said, every=every):
                found.missing.append(Missing(said.node, said.proxy_id, problem))
    found.sidecars.sort(key=lambda one: (one.service, one.node, one.proxy_id))
    return Response(200, msgspec.json.encode(found), content_type=JSON)


def _may_name(access: Access, said: Said, *, every: bool) -> bool:
    return every or access.allows("node", "read", said.node)


async def _tap(agent: Agent, request: Request) -> StreamingResponse:
    from meshagent.connect.proxy.telemetry.taps import FILTERS, Tap  # where somebody taps

    check_enabled(agent)
    service = request.query.get("service") or ""
    every = _sees_all(request.access, service)
    filters = {name: value for name in FILTERS if (value := request.query.get(name))}
    try:
        Tap(filters)
    except RemoteProtocolError as error:
        raise BadRequest(str(error)) from None
    everywhere: Everywhere = agent.extras["sidecars"]
    answers = everywhere.ask(Ask("tap", service, tuple(filters.items())))
    return StreamingResponse(_lines(answers, request.access, every=every), content_type="application/x-ndjson")


async def _lines(answers: AsyncGenerator[Said, None], access: Access, *, every: bool) -> AsyncGenerator[bytes, None]:
    """A JSON object a line, each with its node; an empty line now and then, and one for who does not answer."""
    async with aclosing(answers) as found:
        async for said in found:
            if said.problem:
                if _may_name(access, said, every=every):
                    yield msgspec.json.encode({"missing": said.node, "proxy_id": said.proxy_id, "reason": said.problem})
                    yield b"\n"
                continue
            node = b'{"node":' + msgspec.json.encode(said.node) + b","
            yield b"".join(node + line[1:] for line in said.body.splitlines(keepends=True)) or b"\n"


ROUTES = (
    Route(
        row="M73", method="GET", path="/v1/connect/edges",
        asks=True,
        acl="operator:read (or intentions:read of a named service)", handle=_edges,
        summary="who called whom, by all sidecars of the datacenter (ours; ?service=)",
        example="curl 'localhost:8500/v1/connect/edges?service=api'",
    ),
    Route(
        row="M73", method="GET", path="/v1/connect/tap",
        asks=True, in_pieces=True,
        acl="operator:read (or intentions:read of a named service)", handle=_tap,
        summary="requests as they happen, a JSON object a line (ours; ?service=&path=&status=5xx...)",
        example="curl -N 'localhost:8500/v1/connect/tap?service=api&status=error'",
    ),
)  # fmt: skip
