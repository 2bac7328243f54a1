from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from meshtest.clientworld import ClientWorld

from meshagent.agent.http.routes import Route, load_routes
from meshagent.agent.rpc import uploads
from meshagent.agent.rpc.messages import Forwarded, Part
from meshagent.agent.rpc.uploads import Uploads
from meshagent.clock import Tasks
from meshagent.errors import BadRequest, Timeout, Unavailable

ASKED = Forwarded("PUT", "/v1/snapshot")
Pieces = Callable[[], AsyncIterator[bytes]]


async def whole(asked: Forwarded, pieces: Pieces) -> bytes:
    return b"<" + b"".join([piece async for piece in pieces()]) + b">"


async def first(asked: Forwarded, pieces: Pieces) -> bytes:
    return b"<" + await anext(pieces()) + b">"


@pytest.fixture
def desk() -> Uploads:
    return Uploads(Tasks())


async def test_parts_are_taken_one_by_one(desk: Uploads) -> None:
    assert await desk.take("n", Part(b"1", ASKED), whole) == b""
    assert await desk.take("n", Part(b"1", None, b"ab"), whole) == b""
    assert len(desk) == 1
    assert await desk.take("n", Part(b"1", None, b"c", last=True), whole) == b"<abc>"
    assert len(desk) == 0


async def test_all_in_one_part(desk: Uploads) -> None:
    assert await desk.take("n", Part(b"1", ASKED, b"abc", last=True), whole) == b"<abc>"
    assert await desk.take("n", Part(b"1", ASKED, last=True), whole) == b"<>"


async def test_an_answer_ends_it_early(desk: Uploads) -> None:
    assert await desk.take("n", Part(b"1", ASKED), first) == b""
    answer = await desk.take("n", Part(b"1", None, b"ab"), first)
    answer = answer or await desk.take("n", Part(b"1", None, b"c"), first)
    assert answer == b"<ab>"
    with pytest.raises(BadRequest):
        await desk.take("n", Part(b"1", None, b"c"), first)


async def test_strangers_cannot_add(desk: Uploads) -> None:
    await desk.take("n", Part(b"1", ASKED), whole)
    with pytest.raises(BadRequest, match="not known"):
        await desk.take("m", Part(b"1", None, b"x"), whole)


async def test_there_is_a_limit(desk: Uploads) -> None:
    for number in range(uploads.MAX_UPLOADS):
        await desk.take("n", Part(b"%d" % number, ASKED), whole)
    with pytest.raises(Unavailable):
        await desk.take("n", Part(b"x", ASKED), whole)


async def test_a_client_that_stops_is_given_up(desk: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_S", 0.01)
    await desk.take("n", Part(b"1", ASKED), whole)
    while len(desk):
        await asyncio.sleep(0.005)
    monkeypatch.setattr(uploads, "PART_S", 60)

    async def failing(asked: Forwarded, pieces: Pieces) -> bytes:
        async for _ in pieces():
            raise Timeout("no")
        return b""

    await desk.take("n", Part(b"2", ASKED), failing)
    with pytest.raises(Timeout):
        await desk.take("n", Part(b"2", None, b"x"), failing)


async def test_a_large_body_through_a_client(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint that restores snapshots is replaced: what counts is how its body comes."""
    from meshagent.agent.http.response import Response

    sizes: list[int] = []

    async def restore(agent: object, request: object) -> Response:
        sizes.extend([len(piece) async for piece in request.pieces])  # type: ignore[attr-defined]
        return Response(200, request.headers["Content-Length"].encode())  # type: ignore[attr-defined]

    from meshagent.agent.http import snapshot

    routes = tuple(
        Route(row="SN2", method="PUT", path="/v1/snapshot", summary="", handle=restore, upload=True)
        if route.upload
        else route
        for route in snapshot.ROUTES
    )
    monkeypatch.setattr(snapshot, "ROUTES", routes)
    assert any(route.handle is restore for route in load_routes())
    client = await world.client(world.server())
    body = bytes(3_500_000)
    answer = await client.api.ask("PUT", "/v1/snapshot", body)
    assert (answer.status, answer.text) == (200, "3500000")
    assert sum(sizes) == len(body)
    assert max(sizes) <= uploads.PART_BYTES
