"""One question to a server without a standing connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from meshagent.catalog.rpc.ask_once import ask_once
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import SystemClock
from meshagent.errors import Conflict, Unavailable

from .conftest import Node, Scenario, World

Play = Callable[[Scenario], None]


async def ask(asker: Node, address: str, node_id: str = "", timeout_s: float = 5.0) -> bytes:
    return await ask_once(
        address,
        "echo",
        b"hello",
        timeout_s,
        expected_node_id=node_id,
        identity=lambda: asker.identity,
        security=Security,
        clock=SystemClock(),
        rng=random.Random(1),
        metrics=asker.counts,
        settings=RpcSettings(),
    )


def test_it_asks_and_hangs_up(play: Play) -> None:
    async def echo(peer: Any, payload: bytes) -> bytes:
        return payload + peer.node_name.encode()

    async def scenario(world: World) -> None:
        alice, bob = world.spawn("alice"), world.spawn("bob", methods={"echo": echo})
        assert await ask(alice, bob.address, bob.identity.node_id) == b"helloalice"
        async with asyncio.timeout(5):
            while bob.server.links:
                await asyncio.sleep(0.01)

    play(scenario)


def test_a_refusal_is_the_answer(play: Play) -> None:
    async def refuse(peer: Any, payload: bytes) -> bytes:
        raise Conflict("no")

    async def scenario(world: World) -> None:
        alice, bob = world.spawn("alice"), world.spawn("bob", methods={"echo": refuse})
        with pytest.raises(Conflict, match="no"):
            await ask(alice, bob.address)

    play(scenario)


def test_nobody_or_somebody_else_is_there(play: Play) -> None:
    async def scenario(world: World) -> None:
        alice, bob = world.spawn("alice"), world.spawn("bob")
        with pytest.raises(Unavailable, match="did not answer"):
            await ask(alice, "127.0.0.1:1", timeout_s=0.2)
        with pytest.raises(Unavailable, match="taken over"):
            await ask(alice, bob.address, "another", timeout_s=0.2)

    play(scenario)
