from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from meshtest.clientworld import ClientWorld, until
from meshtest.httpapi import instance

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.asking import WINDOW_BYTES
from meshagent.agent.rpc.messages import Forwarded, Once, Question
from meshagent.catalog import commands
from meshagent.errors import Denied, NotFound

WEB = Question("service", "web")


def forwarded(method: str, target: str, body: bytes = b"", write_id: bytes = b"") -> bytes:
    return messages.encode(Forwarded(method, target, (), body, "", write_id))


async def test_calls_wait_for_a_server(world: ClientWorld) -> None:
    client = await world.client()
    asking = asyncio.ensure_future(client.client.upstream.call(messages.HTTP, forwarded("GET", "/v1/catalog/nodes")))
    await asyncio.sleep(0)
    assert not asking.done()
    client.client.set_servers([world.server().server])
    assert b"200 OK" in await asking


async def test_a_write_that_is_tried_again_is_applied_once(world: ClientWorld) -> None:
    """The answer of the first attempt is lost with its server."""
    servers = [world.server("s1"), world.server("s2")]
    client = await world.client(*servers)
    await until(lambda: client.client.upstream.connected)
    payload = forwarded("PUT", "/v1/kv/k?cas=0", b"x", b"write-1")
    (used,) = [one for one in servers if one.server == client.client.upstream.server]
    applied = asyncio.Event()
    answer = used.rpc.methods[messages.HTTP]

    async def lose(peer: object, given: bytes) -> bytes:
        await answer(peer, given)  # type: ignore[arg-type, misc]
        applied.set()
        await asyncio.Event().wait()
        return b""

    used.rpc.methods[messages.HTTP] = lose
    asking = asyncio.ensure_future(client.client.upstream.call(messages.HTTP, payload))
    await applied.wait()
    index = world.agent.store.index
    await used.stop()
    assert (await asking).endswith(b"true\xc2")
    assert world.agent.store.index == index


async def test_a_session_that_is_tried_again_is_the_same_one(world: ClientWorld) -> None:
    client = await world.client(world.server())
    await world.write(instance("c1", "web"))
    payload = forwarded("PUT", "/v1/session/create", b'{"NodeChecks": []}', b"write-2")
    first = await client.client.upstream.call(messages.HTTP, payload)
    assert await client.client.upstream.call(messages.HTTP, payload) == first
    assert len(world.agent.store.sessions.rows) == 1


async def test_a_refusal_is_not_tried_again(world: ClientWorld) -> None:
    client = await world.client(world.server())
    with pytest.raises(NotFound, match="no method"):
        await client.client.upstream.call("zork", b"")
    with pytest.raises(NotFound, match="zork"):
        await client.client.upstream.call(messages.ROWS, messages.encode(Once(Question("zork", ""))))


async def test_a_longer_answer_comes_in_pieces(world: ClientWorld) -> None:
    client = await world.client(world.server())
    for number in range(40):
        await world.write(commands.KVSet(f"k{number:02}", b"x" * 20_000))
    payload = forwarded("GET", "/v1/kv/k?recurse")
    pieces = [piece async for piece in client.client.upstream.stream(messages.HTTP_STREAM, payload)]
    assert len(pieces) > 3
    assert b"".join(pieces).count(b"LockIndex") == 40


async def test_an_agent_registers_for_itself_only(world: ClientWorld) -> None:
    client = await world.client(world.server())
    with pytest.raises(Denied, match="may not register for node 'other'"):
        await client.agent.write(instance("other", "web"))
    await client.agent.write(instance("c1", "web"))
    assert world.agent.store.registrations.has("web")


async def test_a_slow_reader_makes_the_server_wait_and_gets_it_whole(world: ClientWorld) -> None:
    """Mutation: the stream is asked for without a window: 32 MiB would not find room, and it would be cut at 16."""
    server = world.server()
    client = await world.client(server)
    sent = 0

    async def large(_: object, payload: bytes) -> AsyncIterator[bytes]:
        nonlocal sent
        for number in range(512):
            sent += 1
            yield bytes((number % 256,)) * 65_536

    server.rpc.methods[messages.HTTP_STREAM] = large
    pieces = client.client.upstream.stream(messages.HTTP_STREAM, b"")
    got = [(await anext(pieces))[0]]
    before = -1
    while before != sent:  # until it stands still
        before = sent
        await asyncio.sleep(0.02)
    assert sent <= WINDOW_BYTES // 65_536 + 2
    got += [piece[0] async for piece in pieces]
    assert got == [*range(256), *range(256)]
