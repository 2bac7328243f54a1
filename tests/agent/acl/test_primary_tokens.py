"""Tokens of the primary in a secondary datacenter (L28, L30): kept for a time, and what happens while it is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshagent.agent.acl.primary_tokens import PrimaryTokens
from meshagent.catalog.acl.model import Token, secret_digest
from meshagent.clock import Tasks, VirtualClock
from meshagent.errors import Denied, Unavailable

TOKEN = Token(accessor_id="a", secret_id="s")


class World:
    def __init__(self, policy: str = "extend-cache") -> None:
        self.clock, self.asked, self.changed = VirtualClock(), 0, 0
        self.answer: Any = TOKEN
        self.gate: asyncio.Event | None = None
        self.tokens = PrimaryTokens(self.ask, self.clock, Tasks(), down_policy=policy, ttl_s=30.0, changed=self.note)

    def note(self, digest: bytes) -> None:
        self.changed += 1

    async def ask(self, secret: str) -> Token | None:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        found: Token | None = self.answer
        return found

    def held(self) -> Token | None:
        return self.tokens.held("s", secret_digest("s"))


async def test_it_is_asked_once_for_its_time() -> None:
    world = World()
    assert await world.tokens.learn("s") is None and await world.tokens.learn("s") is None
    assert (world.held(), world.asked, world.changed) == (TOKEN, 1, 1)
    await world.clock.advance(31)
    world.answer = None
    with pytest.raises(Denied):
        await world.tokens.learn("s")
    assert (world.held(), world.asked, world.changed) == (None, 2, 2)
    with pytest.raises(Denied):
        await world.tokens.learn("s")
    assert world.asked == 2  # that there is none is kept, too


async def test_many_who_wait_ask_once() -> None:
    world = World()
    world.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(world.tokens.learn("s")) for _ in range(10)]
    await asyncio.sleep(0)
    world.gate.set()
    assert await asyncio.gather(*waiting) == [None] * 10 and world.asked == 1


async def test_a_local_token_of_the_primary_means_nothing_here() -> None:
    world = World()
    world.answer = Token(accessor_id="a", secret_id="s", local=True)
    with pytest.raises(Denied):
        await world.tokens.learn("s")
    assert world.held() is None


@pytest.mark.parametrize(
    ("policy", "known", "unknown"),
    [("extend-cache", "token", "nothing"), ("async-cache", "token", "nothing"), ("allow", "all", "all"),
     ("deny", "nothing", "nothing")],
)  # fmt: skip
async def test_while_the_primary_cannot_be_asked(policy: str, known: str, unknown: str) -> None:
    world = World(policy)

    async def granted(secret: str) -> str:
        identity = await world.tokens.learn(secret)
        if identity is None:
            return "token"
        return "all" if identity.access.sees_all else "nothing"

    assert await granted("s") == "token"
    await world.clock.advance(31)
    world.answer = Unavailable("away")
    assert await granted("s") == known
    assert await granted("other") == unknown
    world.answer = TOKEN
    assert await granted("s") == "token"


async def test_async_cache_does_not_wait() -> None:
    world = World("async-cache")
    await world.tokens.learn("s")
    await world.clock.advance(31)
    world.gate = asyncio.Event()
    assert await world.tokens.learn("s") is None and world.held() == TOKEN
    world.gate.set()


async def test_what_is_not_known_is_asked_for_behind() -> None:
    world = World()
    assert world.held() is None
    async with asyncio.timeout(30):
        while world.held() is None:
            await asyncio.sleep(0)
    assert world.asked == 1
