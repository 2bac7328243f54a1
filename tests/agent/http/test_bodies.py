"""Bodies of requests: whole ones, and uploads."""

from __future__ import annotations

import dataclasses
from typing import Any

from meshtest.httpapi import Api

from meshagent.agent.core import Agent
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, text_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.settings import HttpSettings
from meshagent.errors import BadRequest


async def _count(agent: Agent, request: Request) -> Response:
    assert request.pieces is not None
    sizes = [len(piece) async for piece in request.pieces]
    return text_response(f"{sum(sizes)} bytes")


async def _refuse(agent: Agent, request: Request) -> Response:
    raise BadRequest("no")


async def _whole(agent: Agent, request: Request) -> Response:
    return text_response(f"{len(request.body)} bytes")


ROUTES = (
    Route(row="T1", method="PUT", path="/v1/upload", summary="", handle=_count, upload=True),
    Route(row="T2", method="PUT", path="/v1/refused", summary="", handle=_refuse, upload=True),
    Route(row="T3", method="PUT", path="/v1/whole", summary="", handle=_whole),
)
SETTINGS = dataclasses.replace(HttpSettings(), max_body_bytes=1000, body_timeout_s=0.3)


async def test_an_upload_may_be_larger_than_any_body(make_api: Any) -> None:
    api: Api = await make_api(SETTINGS, ROUTES)
    assert (await api.put("/v1/upload", bytes(300_000))).text == "300000 bytes"
    assert (await api.put("/v1/whole", bytes(1000))).text == "1000 bytes"
    answer = await api.put("/v1/whole", bytes(1001))
    assert (answer.status, answer.text) == (413, "Request body is larger than 1000 bytes")


async def test_a_part_of_an_upload_must_come_in_time(make_api: Any) -> None:
    api: Api = await make_api(SETTINGS, ROUTES)
    wire = await api.connect()
    wire.send(b"PUT /v1/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert await wire.closed()


async def test_a_refused_upload_ends_the_connection(make_api: Any) -> None:
    api: Api = await make_api(SETTINGS, ROUTES)
    wire = await api.connect()
    wire.send(b"PUT /v1/refused HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc")
    assert (await wire.answer()).status == 400
    assert await wire.closed()


async def test_who_asks_before_sending_is_told_to_go_on(make_api: Any) -> None:
    api: Api = await make_api(SETTINGS, ROUTES)
    for path in ("upload", "whole"):
        wire = await api.connect()
        wire.send(f"PUT /v1/{path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n".encode())
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"abc")
        assert (await wire.answer()).text == "3 bytes"
