from __future__ import annotations

import asyncio

import pytest
from meshtest.clientworld import ClientWorld, until
from meshtest.httpapi import Log, instance, make_agent

from meshagent.agent.http.remote_views import question_of
from meshagent.agent.rpc import messages, upstream
from meshagent.agent.rpc.messages import Forwarded, Question
from meshagent.agent.servers import Server
from meshagent.clock import SystemClock
from meshagent.errors import NoLeader

WEB = Question("service", "web")


def forwarded(method: str, target: str, body: bytes = b"", write_id: bytes = b"") -> bytes:
    return messages.encode(Forwarded(method, target, (), body, "", write_id))


async def test_without_servers_they_fail_after_the_hold_time(world: ClientWorld) -> None:
    client = await world.client()
    with pytest.raises(NoLeader, match="No known Consul servers"):
        await client.client.upstream.call(messages.HTTP, forwarded("GET", "/v1/catalog/nodes"))
    with pytest.raises(NoLeader):
        await client.client.upstream.barrier()
    assert client.client.upstream.gone


async def test_a_server_that_does_not_answer_is_passed_over(world: ClientWorld) -> None:
    client = await world.client()
    good = world.server()
    client.client.set_servers([Server("127.0.0.1:1", "id-x"), Server("127.0.0.1:2", "id-y"), good.server])
    await until(lambda: client.client.upstream.connected)
    assert client.client.upstream.server == good.server


async def test_a_lost_feed_is_taken_up_by_the_next_server(world: ClientWorld) -> None:
    servers = [world.server("s1"), world.server("s2")]
    client = await world.client(*servers)
    up = client.client.upstream
    lost: list[int] = []
    up.on_lost.append(lambda: lost.append(1))
    held = up.holdings.follow(WEB)
    await up.first_answer(held, 5)
    (used,) = [one for one in servers if one.server == up.server]
    await used.stop()
    await until(lambda: lost and up.connected)
    await world.write(instance("a", "web"))
    await up.barrier()
    assert b"10.0.0.1" in held.body


async def test_a_new_server_takes_over_first(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "LOOK_S", 0.01)
    first, second = world.server("s1"), world.server("s2")
    client = await world.client(first)
    up = client.client.upstream
    await until(lambda: up.connected)
    lost: list[int] = []
    up.on_lost.append(lambda: lost.append(1))
    waiting = asyncio.ensure_future(
        up.call(messages.HTTP, forwarded("GET", "/v1/health/service/web?wait=300ms&index=1000"))
    )
    held = up.holdings.follow(WEB)
    client.client.set_servers([second.server])
    await until(lambda: up.server == second.server and second.serving.feeds == 1)
    await world.write(instance("a", "web"))
    await until(lambda: b"10.0.0.1" in held.body)
    assert not lost
    assert b"200 OK" in await waiting  # over the connection that was left


async def test_a_server_that_knows_no_leader_is_left(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "LOOK_S", 0.01)
    monkeypatch.setattr(upstream, "LEADERLESS_S", 0.05)
    cut_off = make_agent(SystemClock())
    log: Log = cut_off.log  # type: ignore[assignment]
    log.leading = False
    lonely = world.server("s1", agent=cut_off)
    client = await world.client(lonely)
    up = client.client.upstream
    await until(lambda: up.connected)
    good = world.server("s2")
    client.client.set_servers([lonely.server, good.server])
    await until(lambda: up.server == good.server)
    await until(lambda: up.standing.leader)


async def test_rebalancing_moves(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "LOOK_S", 0.01)
    servers = [world.server("s1"), world.server("s2")]
    client = await world.client(*servers)
    up = client.client.upstream
    await until(lambda: up.connected)
    before = up.server
    monkeypatch.setattr(type(up._servers), "rebalance_due", lambda self, now: True)
    await until(lambda: up.server != before)


async def test_the_question_of_a_request_has_one_spelling(world: ClientWorld) -> None:
    from meshagent.agent.http.request import Query, Request
    from meshagent.agent.http.routes import Router, load_routes

    route = Router(load_routes()).find("/v1/health/service/x").methods["GET"]  # type: ignore[union-attr]

    def target(query: str, name: str = "web") -> str:
        return question_of(route, Request("GET", "", Query(query), name=name)).target

    assert (
        target("passing&tag=b&index=5&stale&token=t&near=_agent") == "/v1/health/service/web?near=_agent&passing&tag=b"
    )
    assert target("tag=a%20b&passing=") == target("passing&tag=a+b")
    assert target("", "a/b c") == "/v1/health/service/a%2Fb%20c"
    assert target("", "..") == "/v1/health/service/%2E%2E"
