"""What a client agent follows for its readers."""

from __future__ import annotations

import asyncio

import pytest
from meshtest.clientworld import ClientAgent, ClientWorld, until
from meshtest.httpapi import instance

from meshagent.agent.http.remote_views import RemoteViews, followable
from meshagent.agent.rpc.messages import HTTP, Question
from meshagent.errors import BadRequest

WEB = "/v1/health/service/web"


def views(client: ClientAgent) -> RemoteViews:
    found = client.http.dispatcher.reads.views
    assert isinstance(found, RemoteViews)
    return found


async def test_one_view_for_all_spellings(world: ClientWorld) -> None:
    server = world.server()
    client = await world.client(server)
    for target in ("?passing&tag=a&cached", "?tag=a&passing=1&cached", "?cached&tag=a&passing"):
        await client.get(WEB + target)
    assert len(views(client)) == 2  # passing=1 is another value
    assert server.serving.watched == 2


async def test_what_is_not_used_is_let_go(world: ClientWorld) -> None:
    server = world.server()
    client = await world.client(server)
    await client.get(WEB + "?cached")
    index = (await client.get("/v1/catalog/nodes?cached")).index
    waiting = asyncio.ensure_future(client.get(f"/v1/catalog/nodes?index={index}&wait=10s"))
    await until(lambda: any(view.awaited for view in views(client)._views.values()))
    views(client).sweep()
    await client.get("/v1/kv/?keys&index=1&wait=1ms")
    views(client).sweep()
    assert len(views(client)) == 2
    await until(lambda: server.serving.watched == 2)
    await world.write(instance("a", "web"))
    assert (await waiting).status == 200


async def test_a_forgotten_view_is_remembered_no_more(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for _ in range(3):
        await client.get(WEB + "?cached")
    assert client.http.hot.entries
    views(client).sweep()
    views(client).sweep()
    assert not client.http.hot.entries
    assert not client.client.upstream.holdings


async def test_a_reload_keeps_nothing_behind(world: ClientWorld) -> None:
    client = await world.client(world.server())
    await client.get(WEB + "?cached")
    client.http.configure(client.http.settings)
    assert not client.client.upstream.holdings
    assert (await client.get(WEB + "?cached")).status == 200
    assert len(client.client.upstream.holdings) == 1


async def test_a_refused_question_is_not_kept(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for _ in range(3):
        assert (await client.get(WEB + "?filter=nope&cached")).status == 500
    assert len(views(client)) == 0
    assert not client.client.upstream.holdings


async def test_readers_at_once_share_the_first_answer(world: ClientWorld) -> None:
    server = world.server()
    client = await world.client(server)
    answers = await asyncio.gather(*(client.get(WEB + "?cached") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert server.serving.watched == 1
    assert len(views(client)) == 1


async def test_a_view_gives_the_error_of_its_question(world: ClientWorld) -> None:
    client = await world.client(world.server())
    await client.get(WEB + "?cached")
    (view,) = views(client)._views.values()
    (held,) = client.client.upstream.holdings
    held.error = BadRequest("no")
    held.changed()
    with pytest.raises(BadRequest, match="no"):
        view.refresh()


def test_questions_have_a_length() -> None:
    assert followable(Question(HTTP, "/" * 65_536))
    assert not followable(Question(HTTP, "/" * 65_537))
