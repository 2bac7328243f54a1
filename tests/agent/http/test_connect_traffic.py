"""`/v1/connect/edges` and `/v1/connect/tap`, and who may ask."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from meshtest.inprocess import Answered, InProcess, guarded_config

from meshagent.agent.http import connect_traffic
from meshagent.agent.sidecars.messages import Ask, Said


class Everybody:
    """Stands in for all agents."""

    def __init__(self, *said: Said) -> None:
        self.said = said
        self.asked: list[Ask] = []

    async def ask(self, ask: Ask) -> AsyncGenerator[Said, None]:
        self.asked.append(ask)
        for one in self.said:
            yield one


def page(service: str, edges: str = "[]") -> bytes:
    return f'{{"service":"{service}","proxy_id":"{service}-proxy","edges":{edges},"more":1}}'.encode()


@pytest.fixture
async def world() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


def answering(world: InProcess, *said: Said) -> Everybody:
    found = world.agent.extras["sidecars"] = Everybody(*said)
    return found


async def lines(answer: Answered) -> list[Any]:
    assert answer.stream is not None
    whole = b"".join([piece async for piece in answer.stream.chunks])
    return [json.loads(line) if line else "" for line in whole.splitlines()]


async def test_edges_of_all_and_who_is_missing(world: InProcess) -> None:
    everybody = answering(
        world,
        Said("n2"),
        Said("n1"),
        Said("n1", page("web", '[{"source":"x"}]'), "web-proxy"),
        Said("n2", page("api"), "api-proxy"),
        Said("n2", b"", "db-proxy", "nothing listens"),
        Said("n2", b"{", "odd-proxy"),
        Said("n3", problem="no server can reach it"),
    )
    found = (await world.ask("GET", "/v1/connect/edges")).json
    assert found["Sidecars"] == [
        {"Node": "n2", "Service": "api", "ProxyID": "api-proxy", "Edges": []},
        {"Node": "n1", "Service": "web", "ProxyID": "web-proxy", "Edges": [{"source": "x"}]},
    ]
    missing = [(one["Node"], one["ProxyID"], one["Reason"].partition(":")[0]) for one in found["Missing"]]
    assert missing == [
        ("n2", "db-proxy", "nothing listens"),
        ("n2", "odd-proxy", "its answer does not decode"),
        ("n3", "", "no server can reach it"),
    ]
    await world.ask("GET", "/v1/connect/edges?service=api")
    assert everybody.asked == [Ask("edges"), Ask("edges", "api")]


async def test_an_answer_is_bounded(world: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_traffic, "MAX_ANSWER_BYTES", len(page("web")))
    answering(world, Said("n1", page("web")), Said("n2", page("api")))
    found = (await world.ask("GET", "/v1/connect/edges")).json
    assert [one["Service"] for one in found["Sidecars"]] == ["web"]
    assert [one["Reason"] for one in found["Missing"]] == ["there is too much to tell: name a service"]


async def test_a_tap_says_which_node_each_line_comes_from(world: InProcess) -> None:
    everybody = answering(
        world,
        Said("n1"),
        Said("n1", b'{"path":"/a"}\n{"path":"/b"}\n', "web-proxy"),
        Said('n"2', b'{"path":"/c"}\n', "web-proxy"),
        Said("n3", problem="no server can reach it"),
    )
    found = await lines(await world.ask("GET", "/v1/connect/tap?service=web&path=/&status=5xx&other=1"))
    assert found == [
        "",
        {"node": "n1", "path": "/a"},
        {"node": "n1", "path": "/b"},
        {"node": 'n"2', "path": "/c"},
        {"missing": "n3", "proxy_id": "", "reason": "no server can reach it"},
    ]
    (ask,) = everybody.asked
    assert (ask.what, ask.service, dict(ask.filters)) == ("tap", "web", {"path": "/", "status": "5xx"})


async def test_a_filter_that_cannot_be_read_asks_nobody(world: InProcess) -> None:
    everybody = answering(world)
    answer = await world.ask("GET", "/v1/connect/tap?service=web&status=many")
    assert (answer.status, answer.text) == (400, "status: 'many' is none of 404, 5xx, >=500, error")
    assert everybody.asked == []


@pytest.mark.parametrize("path", ["/v1/connect/edges", "/v1/connect/tap"])
async def test_who_may_read_the_intentions_of_a_service_may_see_its_traffic(world: InProcess, path: str) -> None:
    answering(world, Said("n1", b"" if "tap" in path else page("web")), Said("n9", problem="away"))
    _, secret = await world.token('service "web" { policy = "read" }')
    headers = {"X-Consul-Token": secret}
    for target in (path, f"{path}?service=api"):
        assert (await world.ask("GET", target, headers=headers)).status == 403
    answer = await world.ask("GET", f"{path}?service=web", headers=headers)
    assert answer.status == 200
    shown = json.dumps(await lines(answer)) if "tap" in path else answer.text
    assert "away" not in shown, "names of nodes are not for everybody"
    _, secret = await world.token('operator = "read"')
    answer = await world.ask("GET", path, headers={"X-Consul-Token": secret})
    assert "away" in (json.dumps(await lines(answer)) if "tap" in path else answer.text)
