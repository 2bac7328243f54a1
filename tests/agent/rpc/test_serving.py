"""Two ends on loopback: what a client agent is answered by its servers."""

from __future__ import annotations

import asyncio

from meshtest.clientworld import ClientWorld, until
from meshtest.httpapi import instance

from meshagent.catalog import commands


async def test_a_read_is_answered_as_by_the_server(world: ClientWorld) -> None:
    client = await world.client(world.server())
    await world.write(instance("a", "web"))
    for _ in range(3):  # asked, followed, remembered
        answer = await client.get("/v1/health/service/web?passing")
        assert answer.status == 200
        assert [row["Node"]["Node"] for row in answer.json] == ["a"]
        assert answer.index == world.agent.store.index
        assert answer.headers["x-consul-effective-consistency"] == "leader"
        assert answer.headers["x-consul-knownleader"] == "true"
        assert answer.headers["x-consul-lastcontact"] == "0"
        assert "age" not in answer.headers


async def test_a_default_read_sees_every_write_before_it(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for number in range(30):
        await world.write(commands.KVSet("k", b"%d" % number))
        assert (await client.get("/v1/kv/k?raw")).text == str(number)
    assert client.client.upstream.holdings


async def test_a_blocking_query_wakes_with_the_change(world: ClientWorld) -> None:
    client = await world.client(world.server())
    await world.write(instance("a", "web"))
    first = await client.get("/v1/health/service/web")
    asking = asyncio.ensure_future(client.get(f"/v1/health/service/web?index={first.index}&wait=60s"))
    await until(lambda: len(client.client.upstream.holdings) == 1)
    await world.write(instance("b", "web", number=1))
    answer = await asking
    assert [row["Node"]["Node"] for row in answer.json] == ["a", "b"]
    assert answer.headers["x-consul-query-backend"] == "streaming"


async def test_all_watchers_of_a_client_are_one_at_the_server(world: ClientWorld) -> None:
    server = world.server()
    client = await world.client(server)
    await world.write(instance("a", "web"))
    index = (await client.get("/v1/health/service/web")).index
    asking = [asyncio.ensure_future(client.get(f"/v1/health/service/web?index={index}&wait=60s")) for _ in range(100)]
    await until(lambda: client.http.dispatcher.reads.views._views)
    await until(lambda: all(view.awaited for view in client.http.dispatcher.reads.views._views.values()))
    assert server.serving.watched == 1
    await world.write(instance("b", "web", number=1))
    assert {len((await one).json) for one in asking} == {2}


async def test_writes_go_to_a_server(world: ClientWorld) -> None:
    client = await world.client(world.server())
    assert (await client.api.put("/v1/kv/a/b", b"x")).text == "true"
    assert (await client.get("/v1/kv/a/b?raw")).text == "x"
    assert (await client.api.put("/v1/kv/a/b?cas=99", b"y")).text == "false"
    assert (await client.api.ask("DELETE", "/v1/kv/a?recurse")).text == "true"
    assert (await client.get("/v1/kv/a/b")).status == 404


async def test_a_session_belongs_to_the_node_that_was_asked(world: ClientWorld) -> None:
    client = await world.client(world.server())
    await world.write(instance("c1", "web"))
    answer = await client.api.put("/v1/session/create", b'{"NodeChecks": []}')
    assert answer.status == 200, answer.text
    (session,) = world.agent.store.sessions.rows.values()
    assert session.node == "c1"
    assert session.id == answer.json["ID"]


async def test_another_server_takes_over_without_an_error(world: ClientWorld) -> None:
    servers = [world.server("s1"), world.server("s2")]
    client = await world.client(*servers)
    await world.write(instance("a", "web"))
    await client.get("/v1/health/service/web")
    await client.get("/v1/health/service/web")
    for number in range(2):
        used = client.client.upstream.server
        (server,) = [one for one in servers if one.server == used]
        asking = asyncio.ensure_future(client.get(f"/v1/health/service/web?wait=60s&index={world.agent.store.index}"))
        await until(lambda: any(v.awaited for v in client.http.dispatcher.reads.views._views.values()))
        await server.stop()
        await world.write(instance("b", "web", number=number + 1))
        answer = await asking
        assert answer.status == 200
        assert len(answer.json) == 2 + number
        assert (await client.get("/v1/health/service/web")).status == 200
        assert (await client.api.put("/v1/kv/k", b"x")).status == 200
        assert client.client.upstream.server != used
        servers.remove(server)
        servers.append(world.server(f"s{number + 3}"))
        client.client.set_servers([one.server for one in servers])


async def test_without_a_server_the_last_answer_is_given_with_its_age(world: ClientWorld) -> None:
    server = world.server()
    client = await world.client(server)
    await world.write(instance("a", "web"))
    for _ in range(3):
        assert (await client.get("/v1/health/service/web")).status == 200
    await server.stop()
    await until(lambda: not client.client.upstream.connected)
    answer = await client.get("/v1/health/service/web?stale")
    assert answer.headers["x-consul-knownleader"] == "false"
    assert "age" in answer.headers
    answer = await client.get("/v1/health/service/web")  # waits for a server first
    assert answer.status == 200
    assert answer.headers["x-consul-effective-consistency"] == "stale"
    assert int(answer.headers["x-consul-lastcontact"]) >= 2000
    assert answer.headers["age"] == "2"
    assert (await client.get("/v1/catalog/nodes")).text == "No server of the datacenter answers"
    again = world.server("s2")
    client.client.set_servers([again.server])
    await until(lambda: client.client.upstream.connected)
    answer = await client.get("/v1/health/service/web")
    assert answer.headers["x-consul-effective-consistency"] == "leader"
    assert "age" not in answer.headers


async def test_a_wrong_question_is_refused_in_the_same_words(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for _ in range(3):
        answer = await client.get("/v1/health/service/web?filter=nope")
        assert answer.status == 500
        assert "Selector" in answer.text or "failed" in answer.text.lower()
    assert (await client.get("/v1/kv/")).status == 400


async def test_clients_that_ask_the_same_share_the_answer(world: ClientWorld) -> None:
    from meshagent.agent.rpc.messages import Question

    server = world.server()
    clients = [await world.client(server, name=f"c{number}") for number in range(3)]
    await world.write(instance("a", "web"))
    questions = [
        (Question("service", "web"), 1),
        (Question("http", "/v1/health/service/web"), 1),
        (Question("query", "q"), 3),
        (Question("http", "/v1/health/service/web?near=_agent"), 3),
    ]
    watched = 0
    for question, count in questions:
        for client in clients:
            held = client.client.upstream.holdings.follow(question)
            await client.client.upstream.first_answer(held, 5)
        watched += count
        assert server.serving.watched == watched, question
