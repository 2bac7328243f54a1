from __future__ import annotations

import inspect
import re

import pytest
from aiohttp import web_protocol
from meshtest.httpapi import Api, request

from meshagent.agent.http.exchange import Exchange, Written


def test_aiohttp_asks_for_nothing_else() -> None:
    source = inspect.getsource(web_protocol.RequestHandler)
    handler = source[: source.index("def handle_error")]  # ours stands in for the rest
    of_request = set(re.findall(r"\brequest\.(\w+)", handler)) | set(re.findall(r"_current_request\.(\w+)", handler))
    of_response = set(re.findall(r"\bresp\.(\w+)", handler))
    assert of_request <= set(dir(Exchange))
    assert of_response - set(dir(Written)) <= {"close"}


@pytest.mark.parametrize("body", [b"", b"x"])
async def test_a_lost_client_ends_the_reading_of_its_body(api: Api, body: bytes) -> None:
    wire = await api.connect()
    wire.send(request("PUT", "/v1/catalog/register", b"xx")[:-1])
    wire.writer.close()
    assert (await api.get("/v1/status/leader")).status == 200
