"""Tokens on a client: kept for their time, and what happens while no server answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.acl.remote import RemoteGuardian, Resolved, resolve_method
from meshagent.agent.acl.resolver import Identity
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.agent.config import Config
from meshagent.catalog.acl.rules import parse_rules
from meshagent.clock import Tasks, VirtualClock
from meshagent.errors import Denied, NoLeader, RemoteProtocolError
from meshagent.metrics import Metrics

READS = Resolved("acc", (("key", "a", True, "read", ""), ("from-tomorrow", "", True, "read", "")))


class World:
    def __init__(self, policy: str) -> None:
        self.clock = VirtualClock()
        self.tasks = Tasks()
        self.asked = 0
        self.answer: Any = READS
        config = Config()
        tokens = AgentTokens(config)
        tokens.set("agent_recovery", "rescue")
        self.guardian = RemoteGuardian(
            self.ask, tokens, self.clock, self.tasks, Metrics(),
            node_name="c1", default_allow=False, down_policy=policy, ttl_s=30.0,
        )  # fmt: skip

    async def ask(self, payload: bytes) -> bytes:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return msgspec.msgpack.encode(self.answer)

    async def may_read(self) -> bool:
        return (await self.guardian.identify("s")).access.allows("key", "read", "a")


async def test_an_answer_is_kept_for_its_time() -> None:
    world = World("extend-cache")
    assert await world.may_read() and await world.may_read()
    assert world.asked == 1
    await world.clock.advance(31)
    world.answer = Resolved("acc")
    assert not await world.may_read()
    assert world.asked == 2


@pytest.mark.parametrize(
    ("policy", "known", "unknown"),
    [("extend-cache", True, False), ("async-cache", True, False), ("allow", True, True), ("deny", False, False)],
)
async def test_while_no_server_answers_the_down_policy_decides(policy: str, known: bool, unknown: bool) -> None:
    world = World(policy)
    assert await world.may_read()
    world.answer = NoLeader()
    await world.clock.advance(31)
    assert await world.may_read() is known
    other = await world.guardian.identify("other")
    assert other.access.allows("key", "read", "a") is unknown
    await world.tasks.cancel()


async def test_async_cache_asks_behind_its_answer() -> None:
    world = World("async-cache")
    assert await world.may_read()
    await world.clock.advance(31)
    world.answer = Resolved("acc")
    assert await world.may_read()
    await world.clock.advance(0.1)
    assert not await world.may_read()


async def test_a_token_that_is_gone_is_forgotten() -> None:
    world = World("extend-cache")
    identity = await world.guardian.identify("s")
    await world.clock.advance(31)
    world.answer = Denied("ACL not found")
    with pytest.raises(Denied):
        await world.guardian.identify("s")
    assert identity.stale and world.guardian.held("s") is None
    world.answer = NoLeader()
    assert not await world.may_read()


async def test_a_token_ends_with_its_time_without_a_server() -> None:
    world = World("extend-cache")
    world.answer = Resolved("acc", READS.rules, expires_at=world.clock.now().timestamp() + 10)
    assert await world.may_read()
    world.answer = NoLeader()
    await world.clock.advance(11)
    assert not await world.may_read()
    world.guardian.sweep(world.clock.now())


async def test_recovery_needs_no_server() -> None:
    world = World("deny")
    world.answer = NoLeader()
    access = (await world.guardian.identify("rescue")).access
    assert access.allows("agent", "write", "c1") and world.asked == 0


async def test_a_server_says_what_it_resolved() -> None:
    from meshagent.agent.acl.access import Access
    from meshagent.catalog.acl.authorizer import Authorizer

    rules = parse_rules('service "web" { policy = "read" intentions = "write" }')

    async def resolve(secret: str) -> Identity:
        assert secret == "s"
        return Identity(Access(Authorizer(rules), "acc", anonymous=True), rules, expires_at=5.0)

    method = resolve_method(resolve)
    found = msgspec.msgpack.decode(await method(None, msgspec.msgpack.encode("s")), type=Resolved)
    assert found == Resolved("acc", (("service", "web", True, "read", "write"),), False, True, 5.0)
    with pytest.raises(Denied):
        await method(None, msgspec.msgpack.encode("x" * 5000))


@given(st.binary(max_size=64))
async def test_any_bytes_are_a_secret_or_refused(payload: bytes) -> None:
    async def resolve(secret: str) -> Identity:
        raise Denied("ACL not found")

    with pytest.raises((Denied, RemoteProtocolError)):
        await resolve_method(resolve)(None, payload)
