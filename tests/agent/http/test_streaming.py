from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

from meshtest.httpapi import Api, request

from meshagent.agent.core import Agent
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.routes import Route

MakeApi = Callable[..., Awaitable[Api]]


class Source:
    """Pieces that a test hands out."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await self.pieces.get()) is not None:
                yield piece
        finally:
            self.closed = True

    @property
    def routes(self) -> tuple[Route, ...]:
        async def handle(agent: Agent, request: Request) -> StreamingResponse:
            return StreamingResponse(self.chunks(), headers=(("X-A", "b"),))

        return (Route(row="X", method="GET", path="/v1/x", summary="x", handle=handle),)


async def test_pieces_are_sent_at_once_as_chunks(make_api: MakeApi) -> None:
    source = Source()
    api = await make_api(routes=source.routes)
    wire = await api.connect()
    wire.send(request("GET", "/v1/x"))
    head = (await wire.answer()).headers
    assert (head["transfer-encoding"], head["x-a"], head["connection"]) == ("chunked", "b", "close")
    await source.pieces.put(b"line 1\n")
    assert await wire.reader.readexactly(12) == b"7\r\nline 1\n\r\n"
    await source.pieces.put(None)
    assert await wire.reader.read() == b"0\r\n\r\n"


async def test_c28_streams_of_any_size_are_compressed(make_api: MakeApi) -> None:
    source = Source()
    api = await make_api(routes=source.routes)
    wire = await api.connect()
    wire.send(request("GET", "/v1/x", Accept_Encoding="gzip"))
    assert (await wire.answer()).headers["content-encoding"] == "gzip"
    unpack = zlib.decompressobj(31)
    for piece in (b"a\n", b"b\n"):
        await source.pieces.put(piece)
        size = int(await wire.reader.readuntil(b"\r\n"), 16)
        assert unpack.decompress(await wire.reader.readexactly(size)) == piece
        await wire.reader.readexactly(2)


async def test_the_source_ends_when_the_client_goes(make_api: MakeApi) -> None:
    source = Source()
    api = await make_api(routes=source.routes)
    wire = await api.connect()
    wire.send(request("GET", "/v1/x"))
    await wire.answer()
    wire.writer.close()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if source.closed:
            break
    assert source.closed


async def test_an_old_client_gets_bare_bytes(make_api: MakeApi) -> None:
    source = Source()
    api = await make_api(routes=source.routes)
    wire = await api.connect()
    wire.send(b"GET /v1/x HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
    assert "transfer-encoding" not in (await wire.answer()).headers
    await source.pieces.put(b"abc")
    await source.pieces.put(None)
    assert await wire.reader.read() == b"abc"
