"""A dialler for each of the other servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.errors import Unavailable

from .conftest import Scenario, World, until

Play = Callable[[Scenario], None]


def test_the_servers_that_are_wanted_and_no_others(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b, c = (world.spawn(name) for name in "abc")
        a.peers.set_servers({"id-a": a.address, "id-b": b.address})
        await a.connected(b)
        assert a.peers.dialler("id-a") is None  # not ourselves
        kept = a.peers.link("id-b")
        a.peers.set_servers({"id-b": b.address, "id-c": c.address})
        await a.connected(c)
        assert a.peers.link("id-b") is kept
        assert a.peers.epoch("id-c") > a.peers.epoch("id-b") == 1
        a.peers.set_servers({"id-c": c.address})
        assert a.peers.link("id-b") is None
        await until(lambda: not b.server.links)
        a.peers.set_servers({"id-b": b.address, "id-c": c.address})
        await a.connected(b)
        assert a.peers.epoch("id-b") > 2

    play(scenario)


def test_a_call_without_a_connection_fails_at_once(play: Play) -> None:
    async def scenario(world: World) -> None:
        a = world.spawn("a")
        with pytest.raises(Unavailable, match="no connection to server id-z"):
            await a.peers.call("id-z", "m", b"", 60)

    play(scenario)


def test_a_call(play: Play) -> None:
    async def scenario(world: World) -> None:
        async def echo(peer: object, payload: bytes) -> bytes:
            return payload

        a, b = world.spawn("a"), world.spawn("b", methods={"echo": echo})
        world.introduce(a, b)
        await a.connected(b)
        assert await a.peers.call("id-b", "echo", b"x", 5) == b"x"

    play(scenario)


def test_news_of_a_server_shortens_the_wait(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b = world.spawn("a", settings=RpcSettings(redial_first_s=3600, redial_longest_s=3600)), world.spawn("b")
        await world.stop(b)
        a.peers.set_servers({"id-b": b.address})
        dialler = a.peers.dialler("id-b")
        assert dialler is not None
        await until(lambda: dialler.last_failure)
        again = world.spawn("b", port=int(b.address.split(":")[1]))
        a.peers.nudge("id-b")
        a.peers.nudge("id-unknown")
        await a.connected(again)

    play(scenario)


def test_what_an_old_dialler_says_is_not_news_of_the_new(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b = world.spawn("a"), world.spawn("b")
        a.peers.set_servers({"id-b": b.address})
        await a.connected(b)
        seen: list[tuple[str, bool]] = []
        a.peers.on_change.append(lambda node_id: seen.append((node_id, a.peers.link(node_id) is not None)))
        moved = world.spawn("b2", node_id="id-b")
        a.peers.set_servers({"id-b": moved.address})
        await a.connected(b)
        await asyncio.sleep(0.02)
        assert seen == [("id-b", False), ("id-b", True)]

    play(scenario)


def test_servers_that_were_heard_of_are_dialled_where_they_say_they_are(play: Play) -> None:
    """One that joins must be able to answer its leader, and one that moved must be found."""

    async def scenario(world: World) -> None:
        alice, bob, carol = (world.spawn(name) for name in ("alice", "bob", "carol"))
        alice.peers.set_addresses({carol.identity.node_id: carol.address, alice.identity.node_id: alice.address})
        await alice.connected(carol)
        alice.peers.set_servers({bob.identity.node_id: "127.0.0.1:1"})
        alice.peers.set_addresses({bob.identity.node_id: bob.address})
        await alice.connected(bob)
        await alice.disconnected(carol)
        alice.peers.set_servers({})
        assert alice.peers.link(bob.identity.node_id) is not None

    play(scenario)
