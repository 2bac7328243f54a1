"""Requests over HTTP/2 (C31): answers as over HTTP/1.1, bodies, streams, slow readers, and who goes away."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.h2client import H2Client, http2_client
from meshtest.httpapi import Api, Wire

from meshagent.agent.core import Agent
from meshagent.agent.http.http2_request import header_pairs
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.routes import Route
from meshagent.agent.http.settings import HttpSettings


@pytest.fixture
async def two(api: Api) -> AsyncIterator[H2Client]:
    made = await http2_client(api.server)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/kv/a%20b", b"value"),
        ("GET", "/v1/kv/a%20b", b""),
        ("GET", "/v1/kv/none", b""),
        ("GET", "/v1/kv/a%20b?raw", b""),
        ("GET", "/v1/catalog/nodes?pretty", b""),
        ("GET", "/v1/nonsense", b""),
        ("DELETE", "/v1/status/leader", b""),
        ("OPTIONS", "/v1/kv/a", b""),
        ("GET", "//v1/kv/a", b""),
        ("PUT", "/v1/agent/service/register", b"{"),
        ("PUT", "/v1/txn", b"x" * 600_000),
    ],
)
async def test_it_answers_as_http_1_does(api: Api, two: H2Client, method: str, path: str, body: bytes) -> None:
    await api.ask("PUT", "/v1/kv/a%20b", b"value")
    one = await api.ask(method, path, body)
    other = await two.request(method, path, body)
    headers = {name: text for name, text in other.headers.items() if not name.startswith(":")}
    lower = {name.lower(): text for name, text in one.headers.items()}
    for free in ("date", "x-consul-index", "connection"):
        lower.pop(free, None)
        headers.pop(free, None)
    assert (other.status, headers) == (one.status, lower)
    assert other.body == one.body or "ModifyIndex" in one.text


async def test_many_requests_share_a_connection(api: Api, two: H2Client) -> None:
    blocking = two.ask("GET", "/v1/kv/w?index=1&wait=60s")
    found = await asyncio.gather(*(two.request("PUT", f"/v1/kv/k{turn}", b"%d" % turn) for turn in range(50)))
    assert {one.text for one in found} == {"true"}
    assert not two.told[blocking].ended
    await two.request("PUT", "/v1/kv/w", b"now")
    told = await two.answer(blocking)
    assert told.status == 200 and told.json[0]["Key"] == "w" and int(told.headers["x-consul-index"]) > 1


async def test_a_large_body_both_ways(two: H2Client) -> None:
    value = bytes(range(256)) * 2000
    assert (await two.request("PUT", "/v1/kv/large", value)).text == "true"
    assert (await two.request("GET", "/v1/kv/large?raw")).body == value
    refused = await two.request("PUT", "/v1/kv/large", value + value)
    assert refused.status == 413 and "too large" in refused.text


async def test_compressed(api: Api, two: H2Client) -> None:
    await two.request("PUT", "/v1/kv/c", b"x" * 5000)
    told = await two.request("GET", "/v1/kv/c", Accept_Encoding="gzip")
    assert told.headers["content-encoding"] == "gzip" and json.loads(gzip.decompress(told.body))[0]["Key"] == "c"


async def test_a_stream_of_pieces_ends_with_its_reader(make_api) -> None:  # type: ignore[no-untyped-def]
    ended = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"piece "
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async def handle(agent: Agent, request: Request) -> StreamingResponse:
        return StreamingResponse(chunks())

    api = await make_api(None, (Route(row="A24", method="GET", path="/v1/agent/stream", summary="x", handle=handle),))
    two = await http2_client(api.server)
    plain, packed = two.ask("GET", "/v1/agent/stream"), two.ask("GET", "/v1/agent/stream", Accept_Encoding="gzip")
    await two.until(lambda: two.told[plain].body.startswith(b"piece piece "))
    await two.until(lambda: len(two.told[packed].body) > 20)
    assert two.told[packed].headers["content-encoding"] == "gzip"
    assert zlib.decompressobj(31).decompress(two.told[packed].body).startswith(b"piece ")
    two.conn.reset_stream(plain)
    two.flush()
    async with asyncio.timeout(30):
        await ended.wait()
    await two.close()


async def test_who_does_not_read_holds_an_answer_and_no_copy(api: Api, two: H2Client) -> None:
    await two.request("PUT", "/v1/kv/big", b"y" * 500_000)
    two.taking = False
    streams = [two.ask("GET", "/v1/kv/big?raw") for _ in range(40)]
    await two.until(lambda: sum(len(two.told[one].body) for one in streams) >= 60_000)
    (connection,) = api.server.http2
    engine = connection._codec.engine  # type: ignore[union-attr]
    assert 0 < engine.queued_body_size() <= 40 * (256 + 64) * 1024
    two.taking = True
    for one in streams:
        two.conn.increment_flow_control_window(1 << 20, one)
    two.conn.increment_flow_control_window(1 << 26)
    two.flush()
    for one in streams:
        assert len((await two.answer(one)).body) == 500_000


async def test_expect_continue_and_a_body_that_does_not_come(make_api) -> None:  # type: ignore[no-untyped-def]
    api = await make_api(HttpSettings(body_timeout_s=0.05))
    two = await http2_client(api.server)
    stream = two.ask("PUT", "/v1/kv/slow", end=False, Expect="100-continue")
    await two.until(lambda: two.told[stream].continued)
    told = await two.answer(stream)
    assert told.status == 408 and "did not arrive in time" in told.text
    await two.close()


async def test_http_1_is_what_it_was(api: Api) -> None:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", api.port))
    assert (await wire.ask("GET", "/v1/status/leader")).status == 200
    wire.writer.close()


@given(st.binary(max_size=200))
def test_any_lines_become_pairs(lines: bytes) -> None:
    for name, _ in header_pairs(lines):
        assert name == name.lower() and name not in {b"connection", b"transfer-encoding"}
