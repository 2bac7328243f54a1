"""`/v1/config` (surface rows CF1-CF4): what the golden scenarios do not show, and one of each answer."""

from __future__ import annotations

import json

import pytest
from meshtest.httpapi import Api

WEB = json.dumps({"Kind": "service-defaults", "Name": "web", "Protocol": "http"}).encode()


async def test_write_read_list_delete(api: Api) -> None:
    assert (await api.ask("PUT", "/v1/config", body=WEB)).text == "true"
    one = (await api.ask("GET", "/v1/config/service-defaults/web")).json
    assert (one["Kind"], one["Protocol"], one["ModifyIndex"]) == ("service-defaults", "http", 2)
    assert (await api.ask("GET", "/v1/config/service-defaults")).json == [one]
    assert (await api.ask("GET", "/v1/config/")).json == [one]
    assert (await api.ask("GET", "/v1/config/?filter=Name==x")).json == []
    assert (await api.ask("DELETE", "/v1/config/service-defaults/web")).text == "{}"
    gone = await api.ask("GET", "/v1/config/service-defaults/web")
    assert (gone.status, gone.text) == (404, 'Config entry not found for "service-defaults" / "web"')


async def test_cas(api: Api) -> None:
    assert (await api.ask("PUT", "/v1/config?cas=0", body=WEB)).text == "true"
    assert (await api.ask("PUT", "/v1/config?cas=1", body=WEB)).text == "false"
    assert (await api.ask("DELETE", "/v1/config/service-defaults/web?cas=1")).text == "false"
    assert (await api.ask("DELETE", "/v1/config/service-defaults/web?cas=2")).text == "true"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("PUT", "/v1/config?cas=x", WEB, 500, 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("PUT", "/v1/config", b"", 400, "Request decoding failed: EOF"),
        ("PUT", "/v1/config", b'{"Kind":"x"}', 400, "Request decoding failed: invalid config entry kind: x"),
        ("PUT", "/v1/config", b'{"Kind":"service-defaults"}', 500, "Name is required"),
        ("GET", "/v1/config/x", b"", 500, "invalid config entry kind: x"),
        ("DELETE", "/v1/config/x/y", b"", 400, "invalid config entry kind: x"),
        ("DELETE", "/v1/config/service-defaults", b"", 404, "Must provide both a kind and name to delete"),
    ],
)
async def test_refusals(api: Api, method: str, path: str, body: bytes, status: int, text: str) -> None:
    answer = await api.ask(method, path, body=body)
    assert (answer.status, answer.text) == (status, text)
