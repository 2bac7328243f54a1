"""The metrics server behind the web page (IN5, G25): what is asked of it, and what is not."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from meshtest.inprocess import MANAGER, InProcess, guarded_config

from meshagent.agent.config.serving import AddHeader, MetricsProxy, UIConfig
from meshagent.agent.http import metrics_proxy
from meshagent.agent.http.metrics_proxy import allowed_paths, target
from meshagent.errors import BadRequest

BASE = "http://prometheus.test:9090/prefix/"


def ui(base: str = BASE, provider: str = "prometheus", allow: tuple[str, ...] = (), **more: Any) -> UIConfig:
    proxy = MetricsProxy(base_url=base, path_allowlist=allow, **more)
    return UIConfig(enabled=True, metrics_provider=provider, metrics_proxy=proxy)


def test_prometheus_is_asked_for_queries_alone() -> None:
    assert allowed_paths(ui()) == ("/prefix/api/v1/query_range", "/prefix/api/v1/query")
    assert target(ui(), "api/v1/query", "query=up") == "http://prometheus.test:9090/prefix/api/v1/query?query=up"
    assert target(ui(), "api/v1/admin/tsdb/delete_series", "") is None
    assert target(ui(), "", "") is None


def test_other_providers_may_ask_anything_or_what_is_listed() -> None:
    assert target(ui(provider="mine"), "a//b/./c d", "") == "http://prometheus.test:9090/prefix/a/b/c%20d"
    assert target(ui(provider="mine", allow=("/prefix/a",)), "a", "") == "http://prometheus.test:9090/prefix/a"
    assert target(ui(provider="mine", allow=("/prefix/a",)), "b", "") is None


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "../prefixed/x"])
def test_nothing_leads_out_of_the_base(name: str) -> None:
    with pytest.raises(BadRequest, match="Invalid path"):
        target(ui(provider="mine"), name, "")


@given(st.text(max_size=40))
def test_any_name_stays_at_the_server(name: str) -> None:
    try:
        found = target(ui(provider="mine"), name, "")
    except BadRequest:
        return
    assert found is not None and found.startswith("http://prometheus.test:9090/prefix")


class Metrics:
    """A metrics server that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer = web.Response(text='{"status":"success"}', content_type="application/json")

    async def start(self) -> str:
        app = web.Application()
        app.router.add_get("/{rest:.*}", self.handle)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(self.runner, listener).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return self.answer


@pytest.fixture
async def metrics() -> AsyncIterator[tuple[Metrics, InProcess]]:
    server = Metrics()
    base = await server.start()
    header = AddHeader(name="Authorization", value="Bearer of-the-agent")
    config = guarded_config()
    config = config.replace(ui_config=ui(base, add_headers=(header,)))
    world = InProcess(config=config)
    await world.start()
    yield server, world
    await world.stop()
    await server.runner.cleanup()


PATH = "/v1/internal/ui/metrics-proxy/api/v1/query"


async def test_it_is_asked_with_our_headers_and_none_of_the_callers(metrics: tuple[Metrics, InProcess]) -> None:
    server, world = metrics
    answer = await world.ask("GET", f"{PATH}?query=up%7Bjob%3D%22a%22%7D", headers={"Cookie": "mine", "Accept": "x/y"})
    assert (answer.status, answer.json) == (200, {"status": "success"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    (asked,) = server.asked
    assert asked.raw_path == "/api/v1/query?query=up%7Bjob%3D%22a%22%7D"
    assert asked.headers["Authorization"] == "Bearer of-the-agent" and asked.headers["Accept"] == "x/y"
    assert not {"Cookie", "X-Consul-Token"} & set(asked.headers)


@pytest.mark.parametrize(
    "query", ["token={}&query=up", "query=up&token={}", "Token={}&query=up", "tok%65n={}&query=up"]
)
async def test_a_token_in_the_query_stays_here(metrics: tuple[Metrics, InProcess], query: str) -> None:
    server, world = metrics
    assert (await world.ask("GET", f"{PATH}?{query.format(MANAGER)}")).status == 200
    (asked,) = server.asked
    assert asked.raw_path == "/api/v1/query?query=up"


async def test_who_may_not_read_everything_asks_nothing(metrics: tuple[Metrics, InProcess]) -> None:
    server, world = metrics
    assert (await world.ask("GET", PATH, headers={"X-Consul-Token": ""})).status == 403
    assert (await world.ask("GET", "/v1/internal/ui/metrics-proxy/api/v1/series")).status == 403
    assert server.asked == []


async def test_what_the_server_says_is_passed_on_or_bounded(
    metrics: tuple[Metrics, InProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, world = metrics
    server.answer = web.Response(status=422, text="bad query")
    assert (await world.ask("GET", PATH)).status == 422
    server.answer = web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
    assert (await world.ask("GET", PATH)).status == 302
    monkeypatch.setattr(metrics_proxy, "MAX_BYTES", 1000)
    server.answer = web.Response(text="x" * 1001)
    refused = await world.ask("GET", PATH)
    assert refused.status == 502 and "more than 1000 bytes" in refused.text
    await server.runner.cleanup()
    refused = await world.ask("GET", PATH)
    assert refused.status == 502 and "cannot be asked" in refused.text
