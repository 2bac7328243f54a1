"""A connection of HTTP/2 (C26, C31): its bounds, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from meshtest.h2client import H2Client, http2_client
from meshtest.httpapi import Api

from meshagent.agent.http.settings import HttpSettings


@pytest.fixture
async def two(api: Api) -> AsyncIterator[H2Client]:
    made = await http2_client(api.server)
    yield made
    await made.close()


async def test_bytes_that_are_no_http_2(api: Api, two: H2Client) -> None:
    port = two.writer.get_extra_info("peername")[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(30):
        assert b"HTTP/1.1" not in await reader.read()
    writer.close()
    assert (await two.request("GET", "/v1/status/leader")).status == 200


async def test_rapid_resets_end_the_connection(api: Api, two: H2Client) -> None:
    for _ in range(6000):
        stream = two.ask("GET", "/v1/kv/none")
        two.conn.reset_stream(stream)
        two.flush()
    await two.until(lambda: two.closed)
    assert two.goaway
    other = await http2_client(api.server)
    assert (await other.request("GET", "/v1/status/leader")).status == 200
    await other.close()


async def test_more_streams_than_allowed_are_refused(api: Api, two: H2Client) -> None:
    await two.request("GET", "/v1/status/leader")
    assert two.conn.remote_settings.max_concurrent_streams == 250
    assert two.conn.remote_settings.enable_connect_protocol == 0


async def test_too_many_connections_of_one_client(make_api) -> None:  # type: ignore[no-untyped-def]
    api = await make_api(HttpSettings(max_conns_per_client=1))
    first = await http2_client(api.server)
    assert (await first.request("GET", "/v1/status/leader")).status == 200
    second = await http2_client(api.server)
    await second.until(lambda: second.closed)
    await first.close()


async def test_the_end_of_the_server_answers_what_waits(api: Api, two: H2Client) -> None:
    two.ask("GET", "/v1/kv/none?index=9&wait=60s")
    await two.request("GET", "/v1/status/leader")
    (connection,) = api.server.http2
    (request,) = connection.requests
    await api.server.stop(5.0)
    assert request.task is not None and request.task.done() and not request.task.cancelled()
    await two.until(lambda: two.closed)
    async with asyncio.timeout(30):
        while api.server.http2:
            await asyncio.sleep(0)
