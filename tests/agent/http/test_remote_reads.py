"""Consistency, cache and headers of reads on a client agent."""

from __future__ import annotations

import asyncio

import pytest
from meshtest.clientworld import ClientWorld, until
from meshtest.httpapi import instance, make_agent

from meshagent.agent.rpc import upstream
from meshagent.clock import SystemClock

WEB = "/v1/health/service/web"


@pytest.fixture
async def filled(world: ClientWorld) -> ClientWorld:
    await world.write(instance("a", "web"))
    return world


@pytest.mark.parametrize("mode", ["", "?stale", "?consistent", "?leader"])
async def test_modes_are_named(filled: ClientWorld, mode: str) -> None:
    client = await filled.client(filled.server())
    for _ in range(4):
        answer = await client.get(f"/v1/catalog/nodes{mode}")
        assert answer.headers["x-consul-effective-consistency"] == (mode.strip("?") or "leader")
        assert answer.headers["x-consul-knownleader"] == "true"
    assert filled.log.barriers == (4 if mode == "?consistent" else 0)


async def test_a_question_is_followed_when_it_comes_again(filled: ClientWorld) -> None:
    server = filled.server()
    client = await filled.client(server)
    await client.get(WEB)
    assert server.serving.watched == 0
    await client.get(WEB)
    assert server.serving.watched == 1
    await client.get(WEB + "?tag=x")
    assert server.serving.watched == 1
    await client.get("/v1/catalog/service/web?cached")
    assert server.serving.watched == 2


async def test_the_cache_says_so(filled: ClientWorld) -> None:
    client = await filled.client(filled.server())
    first = await client.get(WEB + "?cached")
    assert first.headers["x-cache"] == "MISS"
    for _ in range(4):
        answer = await client.get(WEB + "?cached")
        assert (answer.headers["x-cache"], answer.headers["age"]) == ("HIT", "0")
    assert client.http.hot.entries
    await filled.write(instance("b", "web", number=1))
    await client.client.upstream.barrier()
    assert len((await client.get(WEB + "?cached")).json) == 2


@pytest.mark.parametrize("mode", ["", "?stale", "?cached"])
async def test_repeated_reads_are_answered_from_bytes(filled: ClientWorld, mode: str) -> None:
    client = await filled.client(filled.server())
    for _ in range(4):
        assert len((await client.get(WEB + mode)).json) == 1
    assert len(client.http.hot.entries) == 1
    (entry,) = client.http.hot.entries.values()
    await client.get(WEB + mode)
    assert entry.hits > 0
    await filled.write(instance("b", "web", number=1))
    if mode:
        await client.client.upstream.barrier()
    assert len((await client.get(WEB + mode)).json) == 2  # a default read sees it without anybody's help


async def test_the_index_of_a_missing_key_moves_with_its_table(filled: ClientWorld) -> None:
    client = await filled.client(filled.server())
    for number in range(4):
        await client.api.put(f"/v1/kv/other{number}", b"x")
        answer = await client.get("/v1/kv/none")
        assert answer.status == 404
        assert answer.index == filled.agent.store.kv.index


async def test_blocking_ends_with_its_time(filled: ClientWorld) -> None:
    client = await filled.client(filled.server())
    index = (await client.get("/v1/catalog/nodes")).index
    answer = await client.get(f"/v1/catalog/nodes?index={index}&wait=20ms")
    assert answer.index == index
    assert len(answer.json) == 1


async def test_no_leader_is_an_error_as_on_a_server(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "LEADERLESS_S", 1000.0)
    lonely = make_agent(SystemClock())
    server = world.server(agent=lonely)
    client = await world.client(server)
    await client.get(WEB + "?cached")
    lonely.log.leading = False  # type: ignore[misc, attr-defined]
    answer = await client.get(WEB)
    assert (answer.status, answer.text) == (500, "No cluster leader")
    assert (await client.get(WEB + "?stale")).status == 200


async def test_waiting_reads_without_a_server_go_on_with_the_next(filled: ClientWorld) -> None:
    server = filled.server()
    client = await filled.client(server)
    for _ in range(2):
        index = (await client.get(WEB)).index
    waiting = [asyncio.ensure_future(client.get(f"{WEB}?index={index}&wait=30s")) for _ in range(20)]
    await until(lambda: len(client.http.dispatcher.reads.views))
    await server.stop()
    await until(lambda: not client.client.upstream.connected)
    await filled.write(instance("b", "web", number=1))
    client.client.set_servers([filled.server("s2").server])
    assert {len((await one).json) for one in waiting} == {2}


async def test_unknown_questions_without_a_server_are_refused(world: ClientWorld) -> None:
    client = await world.client()
    answer = await client.get(WEB + "?cached")
    assert (answer.status, answer.text) == (500, "No known Consul servers")
