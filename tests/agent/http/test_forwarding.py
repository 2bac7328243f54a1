"""Endpoints that a client agent has its servers answer."""

from __future__ import annotations

import json

import pytest
from meshtest.clientworld import ClientWorld
from meshtest.httpapi import instance, request

from meshagent.agent.http.routes import load_routes
from meshagent.agent.http.settings import HttpSettings
from meshagent.agent.rpc import serving
from meshagent.catalog import commands

SETTINGS = HttpSettings(response_headers=(("X-Mine", "yes"),))


async def test_answers_carry_this_agents_lines_once(world: ClientWorld) -> None:
    client = await world.client(world.server(), settings=SETTINGS)
    for _ in range(3):
        raw = (await client.get("/v1/catalog/nodes")).raw.lower()
        assert raw.count(b"x-mine: yes") == raw.count(b"vary:") == raw.count(b"x-consul-default-acl-policy:") == 1
        assert raw.count(b"content-length:") == raw.count(b"date:") == 1


async def test_errors_come_back_as_they_are(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for method, target, body in (
        ("GET", "/v1/kv/", b""),
        ("PUT", "/v1/kv/a?cas=x", b"v"),
        ("PUT", "/v1/session/destroy/", b""),
        ("PUT", "/v1/catalog/register", b"{"),
        ("GET", "/v1/query/nope/execute", b""),
        ("GET", "/v1/catalog/nodes?dc=dc9", b""),
        ("GET", "/v1/status/leader?dc=dc9", b""),
    ):
        there = await world.ask(method, target, body)
        here = await client.api.ask(method, target, body)
        assert (here.status, here.text) == (there.status, there.text), target
        assert here.status >= 400


async def test_this_agents_guards_hold(world: ClientWorld) -> None:
    import ipaddress

    closed = HttpSettings(block_endpoints=("/v1/kv/secret",), allow_write_from=(ipaddress.ip_network("10.0.0.0/8"),))
    client = await world.client(world.server(), settings=closed)
    assert (await client.get("/v1/kv/secret")).status == 403
    assert (await client.api.put("/v1/kv/a", b"x")).status == 403
    assert (await client.get("/v1/kv/a")).status == 404


async def test_a_body_over_the_limit_is_refused_here(world: ClientWorld) -> None:
    client = await world.client(world.server(), settings=HttpSettings(kv_max_value_size=10))
    assert (await client.api.put("/v1/kv/a", b"x" * 11)).status == 413
    assert (await client.api.put("/v1/kv/a", b"x" * 10)).status == 200


async def test_compression_and_indenting(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for number in range(30):
        await world.write(instance(f"n{number}", "web", number=number))
    for _ in range(3):
        zipped = await client.get("/v1/health/service/web", Accept_Encoding="gzip")
        assert zipped.headers["content-encoding"] == "gzip"
        pretty = await client.get("/v1/health/service/web?pretty")
        assert pretty.text.startswith("[\n    {")
    tidy = await world.client(world.servers[0], name="c2", settings=HttpSettings(pretty=True))
    assert (await tidy.get("/v1/catalog/nodes")).text.startswith("[\n    {")
    assert (await tidy.get("/v1/status/peers")).text.startswith("[\n    ")


async def test_near_agent_means_the_agent_that_was_asked(world: ClientWorld) -> None:
    from meshagent.catalog.model import Coordinate, CoordinateRow

    client = await world.client(world.server())
    for number, node in enumerate(("far", "c1", "near")):
        await world.write(instance(node, "web", number=number))
    places = {"far": 1.0, "c1": 0.0, "near": 0.1}
    rows = [CoordinateRow(node=node, coord=Coordinate(vec=(x, *[0.0] * 7))) for node, x in places.items()]
    await world.write(commands.CoordinateBatch(tuple(rows)))
    for _ in range(3):
        answer = await client.get("/v1/health/service/web?near=_agent")
        assert [row["Node"]["Node"] for row in answer.json] == ["c1", "near", "far"]
    body = {"Name": "q", "Service": {"Service": "web"}}
    assert (await client.api.ask("POST", "/v1/query", json.dumps(body).encode())).status == 200
    answer = await client.get("/v1/query/q/execute?near=_agent")
    assert [row["Node"]["Node"] for row in answer.json["Nodes"]] == ["c1", "near", "far"]


async def test_a_large_answer_comes_in_pieces(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_ANSWER_BYTES", 10_000)
    client = await world.client(world.server())
    for number in range(10):
        await world.write(commands.KVSet(f"k{number}", b"x" * 5000))
    answer = await client.get("/v1/kv/k?recurse")
    assert len(answer.json) == 10
    assert answer.index == world.agent.store.index


async def test_what_concerns_the_agent_is_answered_here() -> None:
    local = {route.path for route in load_routes() if route.local}
    assert {"/v1/agent/self", "/v1/agent/services", "/v1/event/list"} <= local
    assert not {path for path in local if path.startswith(("/v1/kv", "/v1/catalog", "/v1/session", "/v1/status"))}


async def test_names_reach_the_server_as_they_were_meant(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for key in ("a/b", "%C3%BC", "x%3Fy", ".x", "a%20b"):
        assert (await client.api.put(f"/v1/kv/{key}", b"v")).status == 200, key
    assert {"a/b", "\u00fc", "x?y", ".x", "a b"} == set(world.agent.store.kv.entries)
    wire = await client.api.connect()
    wire.send(request("PUT", "/v1/kv/a%2F%2Fb", b"v"))
    assert (await wire.answer()).status == 200
    assert "a//b" in world.agent.store.kv.entries
    for _ in range(3):
        assert (await client.get("/v1/kv/a%2F%2Fb?raw")).text == "v"
        assert (await client.get("/v1/kv/%C3%BC?raw")).text == "v"
