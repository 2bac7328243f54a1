"""Requests that a server answers: what a client agent does with an endpoint that needs the servers' state.

The request goes over the RPC port as it came, without what concerns this agent alone, and is answered there by the same
table of routes. It has an id, so that a write that is tried at another server is applied once.

Source: surface rows C1-C10; agent/rpc/README.md. No socket is touched here.
What may be changed: which headers go along.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

from meshagent.agent.http.dispatch import Outcome
from meshagent.agent.http.response import Response, StreamingResponse
from meshagent.agent.http.wire import Answer, finish
from meshagent.agent.rpc import messages
from meshagent.agent.rpc.messages import Answered, Forwarded, Part
from meshagent.agent.rpc.uploads import PART_BYTES
from meshagent.errors import RemoteProtocolError, TooLarge

if TYPE_CHECKING:
    from meshagent.agent.http.request import Request
    from meshagent.agent.http.routes import Route
    from meshagent.agent.http.settings import HttpSettings
    from meshagent.agent.rpc.upstream import Upstream

__all__ = ["Forwarder", "target_of"]

_HEADERS = (
    "Content-Length",
    "Accept-Encoding",
    "Authorization",
    "Cache-Control",
    "X-Consul-Token",
    "X-Consul-Namespace",
    "X-Consul-Partition",
)
#: What a blocking query may take longer than it was asked to.
MARGIN_S = 30.0


class Forwarder:
    """Sends requests to `upstream` and gives their answers; `always` are the header lines of every answer here."""

    def __init__(self, upstream: Upstream, settings: HttpSettings, always: bytes) -> None:
        self._upstream = upstream
        self.settings = settings
        self._always = always
        self._origin = os.urandom(8)
        self._count = count(1)

    async def outcome(self, route: Route, request: Request) -> Outcome:
        """As `answer`, for the dispatcher."""
        return Outcome(await self.answer(route, request))

    async def answer(self, route: Route, request: Request) -> Answer | StreamingResponse:
        """What a server answers. Raises NoLeader: there is none."""
        headers = tuple((name, request.headers[name]) for name in _HEADERS if name in request.headers)
        if request.token and not request.given_token:  # the default of this agent
            headers = (*headers, ("X-Consul-Token", request.token))
        write_id = b"" if request.method == "GET" else self._origin + next(self._count).to_bytes(8, "big")
        pretty = self.settings.pretty and not request.query.has("pretty")
        payload = messages.encode(
            Forwarded(
                request.method,
                target_of(route, request, extra="pretty" if pretty else ""),
                headers,
                request.body,
                request.remote,
                write_id,
            )
        )
        if request.pieces is not None:
            answered = await self._upstream.call_in_parts(messages.HTTP_UPLOAD, _parts(payload, request.pieces))
            return self._finished(messages.decode(Answered, answered))
        if route.in_pieces:
            return await self._streamed(payload)
        try:
            answered = await self._upstream.call(messages.HTTP, payload, self._timeout_s(request))
        except TooLarge:
            if request.method != "GET":
                raise
            return await self._streamed(payload)
        return self._finished(messages.decode(Answered, answered))

    def _timeout_s(self, request: Request) -> float | None:
        if not request.query.has("index"):
            return None
        settings = self.settings
        wait_s = request.options.wait_ns / 1e9 or settings.default_query_time_s
        return min(wait_s, settings.max_query_time_s) * 1.1 + MARGIN_S

    def _finished(self, answered: Answered) -> Answer:
        """The answer with this agent's own lines behind the status line."""
        status_line, _, rest = answered.head.partition(b"\r\n")
        return Answer(answered.status, status_line + b"\r\n" + self._always + rest, answered.body, answered.close)

    async def _streamed(self, payload: bytes) -> Answer | StreamingResponse:
        pieces = self._upstream.stream(messages.HTTP_STREAM, payload)
        first = await anext(pieces, None)
        if first is None:
            raise RemoteProtocolError("the server answered nothing")
        answered = messages.decode(Answered, first)
        headers, content_type, sized = _headers(answered.head)
        if sized:
            body = b"".join([piece async for piece in pieces])
            return self._finished(Answered(answered.status, answered.head, body, answered.close))
        if answered.status >= 400:
            body = b"".join([piece async for piece in pieces])
            return finish(Response(answered.status, body, headers, content_type), self._always, gzip=False)
        packed = content_type == "application/x-gzip"
        return StreamingResponse(
            _rest(pieces), status=answered.status, headers=headers, content_type=content_type, packed=packed
        )


async def _parts(forwarded: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts of an upload: the request, then its body, cut and joined to `PART_BYTES`."""
    name = os.urandom(8)
    yield messages.encode(Part(name, messages.decode(Forwarded, forwarded)))
    held = bytearray()
    async for piece in pieces:
        held += piece
        while len(held) > PART_BYTES:
            yield messages.encode(Part(name, None, bytes(held[:PART_BYTES])))
            del held[:PART_BYTES]
    yield messages.encode(Part(name, None, bytes(held), last=True))


async def _rest(pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


def _headers(head: bytes) -> tuple[tuple[tuple[str, str], ...], str | None, bool]:
    """Headers without Content-Type and Content-Length, the content type, whether there is a length."""
    headers: list[tuple[str, str]] = []
    content_type: str | None = None
    sized = False
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if name == "Content-Type":
            content_type = value
        elif name == "Content-Length":
            sized = True
        elif name:
            headers.append((name, value))
    return tuple(headers), content_type, sized


def target_of(route: Route, request: Request, query: str | None = None, *, extra: str = "") -> str:
    """The request target that reaches `route` with the request's name; its own query unless another is given."""
    name = quote(request.name, safe="")
    if name in {".", ".."}:
        name = name.replace(".", "%2E")
    parts = [part for part in (request.query.raw if query is None else query, extra) if part]
    return route.path + name + route.suffix + ("?" + "&".join(parts) if parts else "")
