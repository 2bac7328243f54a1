from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from meshtest.httpapi import Api

from meshagent.agent.core import Agent
from meshagent.agent.http.request import Query, Request
from meshagent.agent.http.response import Response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.settings import HttpSettings
from meshagent.errors import Conflict

MakeApi = Callable[..., Awaitable[Api]]

NOT_AN_ENDPOINT = "Invalid URL path: not a recognized HTTP API endpoint\n"
NOT_THE_API = "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/", NOT_AN_ENDPOINT),
        ("/v1/zork", NOT_AN_ENDPOINT),
        ("/v1/status/leader/", NOT_AN_ENDPOINT),
        ("/v1/status%2Fleader", NOT_AN_ENDPOINT),
        ("/v1", NOT_THE_API),
        ("/zork", NOT_THE_API),
        ("/V1/status/leader", NOT_THE_API),
        ("/ui/", NOT_THE_API),
    ],
)
async def test_c1_unknown_paths(api: Api, path: str, text: str) -> None:
    answer = await api.get(path)
    assert (answer.status, answer.text) == (404, text)
    assert "x-consul-default-acl-policy" not in answer.headers


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/v1/kv", "/v1/kv/"),
        ("/v1//status/leader?a=b", "/v1/status/leader?a=b"),
        ("/v1/kv/x/../up%20a", "/v1/kv/up%20a"),
    ],
)
async def test_c1_redirects(api: Api, path: str, location: str) -> None:
    answer = await api.get(path)
    assert (answer.status, answer.headers["location"]) == (307, location)
    assert answer.text == f'<a href="{location}">Temporary Redirect</a>.\n\n'
    assert (await api.put(path, b"x")).body == b""


async def test_c1_root(make_api: MakeApi) -> None:
    api = await make_api()
    assert "UI disabled" in (await api.get("/")).text
    ui = await make_api(HttpSettings(ui_enabled=True, ui_path="/my-ui/"))
    answer = await ui.get("/")
    assert (answer.status, answer.headers["location"]) == (301, "/my-ui/")
    assert (await ui.get("/my-ui")).status == 307


@pytest.mark.parametrize("path", ["/v1/kv/a%zz", "/v1/kv/%", "kv"])
async def test_c1_bad_targets(api: Api, path: str) -> None:
    answer = await api.get(path)
    assert (answer.status, answer.text) == (400, "400 Bad Request")


async def test_c29_unprintable_paths(make_api: MakeApi) -> None:
    api = await make_api()
    answer = await api.get("/v1/kv/a%0ab")
    assert (answer.status, answer.body) == (400, b"")
    off = await make_api(HttpSettings(filter_unprintable=False))
    assert (await off.get("/v1/kv/a%0ab")).status == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "TRACE", "HEAD"])
async def test_c2_wrong_methods(api: Api, method: str) -> None:
    answer = await api.ask(method, "/v1/kv/x")
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS,GET,PUT,DELETE")
    assert answer.text == ("" if method == "HEAD" else f"method {method} not allowed")


async def test_c2_options(api: Api) -> None:
    answer = await api.ask("OPTIONS", "/v1/catalog/nodes")
    assert (answer.status, answer.body, answer.headers["allow"]) == (200, b"", "OPTIONS,GET")


async def test_c2_the_body_of_a_get_is_ignored(api: Api) -> None:
    wire = await api.connect()
    assert (await wire.ask("GET", "/v1/status/leader", b"ignored")).status == 200
    assert (await wire.ask("GET", "/v1/status/leader")).status == 200


async def test_c24_write_guard(make_api: MakeApi) -> None:
    api = await make_api(HttpSettings(allow_write_from=(ipaddress.ip_network("10.0.0.0/8"),)))
    for method in ("PUT", "DELETE"):
        answer = await api.ask(method, "/v1/kv/open")
        assert (answer.status, answer.text) == (403, "Access is restricted")
    assert (await api.ask("OPTIONS", "/v1/kv/open")).status == 200
    assert (await api.ask("POST", "/v1/kv/open")).status == 405


async def test_c25_blocked_endpoints(make_api: MakeApi) -> None:
    api = await make_api(HttpSettings(block_endpoints=("/v1/kv/secret",)))
    for path in ("/v1/kv/secret", "/v1/kv/secret/x", "/v1/kv/secretive", "/v1/kv/sec%72et"):
        answer = await api.get(path)
        assert (answer.status, answer.text) == (403, "Endpoint is blocked by agent configuration")
    assert (await api.get("/v1/kv/open")).status == 404


class TestTenancy:
    @pytest.mark.parametrize(
        ("query", "headers", "text"),
        [
            ("?ns=default", {}, 'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature'),
            ("?partition=x", {}, 'Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature'),
            ("", {"X_Consul_Namespace": "x"}, 'Invalid header: "X-Consul-Namespace" - Namespaces are'),
            ("", {"X_Consul_Partition": "x"}, 'Invalid header: "X-Consul-Partition" - Partitions are'),
        ],
    )
    async def test_c10_refused(self, api: Api, query: str, headers: dict[str, str], text: str) -> None:
        answer = await api.get(f"/v1/catalog/services{query}", **headers)
        assert answer.status == 400
        assert answer.text.startswith(text)

    @pytest.mark.parametrize(
        "target",
        [
            "/v1/catalog/services?ns=",
            "/v1/catalog/services?ap=x",
            "/v1/catalog/nodes?ns=a",
            "/v1/status/leader?partition=a",
        ],
    )
    async def test_c10_accepted(self, api: Api, target: str) -> None:
        assert (await api.get(target)).status == 200


@pytest.mark.parametrize(
    ("query", "headers", "token"),
    [
        ("token=a", {"X-Consul-Token": "b", "Authorization": "Bearer c"}, "a"),
        ("", {"X-Consul-Token": "b", "Authorization": "Bearer c"}, "b"),
        ("", {"Authorization": "bearer  c "}, "c"),
        ("", {"Authorization": "Basic c"}, ""),
        ("", {}, ""),
    ],
)
def test_c8_token_order(query: str, headers: dict[str, str], token: str) -> None:
    assert Request("GET", "/v1/x", Query(query), headers).given_token == token


def handles(handle: Any) -> tuple[Route, ...]:
    return (Route(row="X", method="PUT", path="/v1/x", summary="x", handle=handle),)


async def test_errors_carry_their_status(make_api: MakeApi) -> None:
    async def handle(agent: Agent, request: Request) -> Response:
        raise Conflict("it moved on")

    api = await make_api(routes=handles(handle))
    answer = await api.put("/v1/x")
    assert (answer.status, answer.text) == (409, "it moved on")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_bug_is_logged_and_not_shown(make_api: MakeApi, caplog: pytest.LogCaptureFixture) -> None:
    async def handle(agent: Agent, request: Request) -> Response:
        raise RuntimeError("the secret of a bug")

    api = await make_api(routes=handles(handle))
    with caplog.at_level(logging.ERROR, logger="agent.http"):
        answer = await api.put("/v1/x")
    assert answer.status == 500
    assert "secret" not in answer.text
    assert "the secret of a bug" in caplog.text


async def test_rows_without_a_feature_say_so(make_api: MakeApi) -> None:
    api = await make_api(routes=(Route(row="X", method="PUT", path="/v1/x", summary="do x"),))
    answer = await api.put("/v1/x")
    assert (answer.status, answer.text) == (501, "PUT /v1/x is not built yet in meshagent: do x")


async def test_bodies_have_a_limit(make_api: MakeApi) -> None:
    async def handle(agent: Agent, request: Request) -> Response:
        return Response(200, request.body)

    api = await make_api(HttpSettings(max_body_bytes=10), handles(handle))
    assert (await api.put("/v1/x", b"x" * 10)).body == b"x" * 10
    answer = await api.put("/v1/x", b"x" * 11)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_c17_configured_headers(make_api: MakeApi) -> None:
    api = await make_api(HttpSettings(response_headers=(("Access-Control-Allow-Origin", "*"),), default_policy="deny"))
    for target in ("/v1/kv/?keys", "/v1/catalog/nodes?ns=x"):
        headers = (await api.get(target)).headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["x-consul-default-acl-policy"] == "deny"


async def test_g42_requests_are_measured(api: Api) -> None:
    await api.get("/v1/status/leader")
    assert api.agent.metrics.sampler("api.http", (("method", "GET"), ("path", "v1_status_leader"))).count == 1


async def test_g42_refused_requests_are_counted(api: Api) -> None:
    await api.get("/v1/catalog/nodes?dc=dc9")
    await api.put("/v1/txn", b"nope")
    await api.put("/v1/kv/a?cas=x")
    await api.get("/v1/agent/monitor?loglevel=zz")  # which no server sees
    assert api.agent.metrics.counter("rpc.request_error").count == 3


async def test_c30_translation_is_announced(make_api: MakeApi) -> None:
    api = await make_api(HttpSettings(translate_wan_addrs=True))
    assert (await api.get("/v1/kv/?keys")).headers["x-consul-translate-addresses"] == "true"


async def test_c8_tokens_are_not_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await api.get("/v1/status/leader?token=s3cret&a=b", X_Consul_Token="s3cret", Authorization="Bearer s3cret")
        await api.get("/v1/kv/a?a=b&token=s3cret")
    assert "url=/v1/kv/a?a=b&token=<hidden>" in caplog.text
    assert "s3cret" not in caplog.text
