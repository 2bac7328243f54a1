"""The leader's clocks for sessions (surface rows E5, E7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshtest.httpapi import make_agent
from meshtest.rows import check, node

from meshagent.agent.core import Agent
from meshagent.agent.session_keeper import SessionKeeper
from meshagent.catalog.commands import KVLock, KVUnlock, Register, SessionCreate, SessionDestroy
from meshagent.catalog.model import Session
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.errors import NoLeader

MORTAL = Session(id="s", node="n1", ttl="10s", lock_delay=15_000_000_000)


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    """An agent whose session keeper runs, with a session of 10 s."""
    agent = make_agent()
    await agent.write(Register(node("n1"), None, (check("serfHealth"),)))
    await agent.write(SessionCreate(MORTAL))
    agent.tasks.start(agent.sessions.lead(agent), name="sessions")
    yield agent
    await agent.tasks.cancel()


async def advance(agent: Agent, seconds: float) -> None:
    clock: Any = agent.clock
    assert isinstance(clock, VirtualClock)
    await clock.advance(seconds)


async def test_a_session_that_nobody_renews_ends_after_twice_its_ttl(agent: Agent) -> None:
    await advance(agent, 19.5)
    assert "s" in agent.store.sessions.rows
    await advance(agent, 1.5)
    assert "s" not in agent.store.sessions.rows


async def test_a_renewed_one_lives(agent: Agent) -> None:
    for _ in range(10):
        await advance(agent, 15.0)
        agent.sessions.renew(MORTAL)
    assert "s" in agent.store.sessions.rows


async def test_one_that_comes_later_is_found(agent: Agent) -> None:
    await advance(agent, 15.0)
    await agent.write(SessionCreate(Session(id="late", node="n1", ttl="10s")))
    await advance(agent, 19.0)
    assert list(agent.store.sessions.rows) == ["late"]
    await advance(agent, 3.0)
    assert not agent.store.sessions.rows


async def test_only_a_leader_ends_sessions_and_a_new_one_gives_them_their_full_time(agent: Agent) -> None:
    await advance(agent, 15.0)
    await agent.tasks.cancel()
    await advance(agent, 100.0)
    agent.sessions.renew(MORTAL)  # came too late, the leader is another: nothing is timed here
    assert "s" in agent.store.sessions.rows
    agent.tasks.start(agent.sessions.lead(agent), name="sessions")
    await advance(agent, 19.0)
    assert "s" in agent.store.sessions.rows
    await advance(agent, 3.0)
    assert "s" not in agent.store.sessions.rows


async def test_a_write_that_fails_is_tried_again(agent: Agent) -> None:
    log: Any = agent.log
    log.refuse = NoLeader()
    await advance(agent, 25.0)
    assert "s" in agent.store.sessions.rows
    log.refuse = None
    await advance(agent, 10.0)
    assert "s" not in agent.store.sessions.rows


async def test_a_lost_lock_is_held_back_for_the_lock_delay(agent: Agent) -> None:
    await agent.write(KVLock("k", b"1", 0, "s"))
    await agent.write(KVLock("given back", b"1", 0, "s"))
    await agent.write(KVUnlock("given back", b"1", 0, "s"))
    await agent.write(SessionDestroy("s"))
    assert agent.sessions.delayed("k")
    assert not agent.sessions.delayed("given back")
    await advance(agent, 14.0)
    assert agent.sessions.delayed("k")
    await advance(agent, 1.0)
    assert not agent.sessions.delayed("k")


def test_locks_lost_before_it_listened_are_held_back_from_now() -> None:
    """After a restart the log is read back first."""
    store = Store()
    store.execute(Register(node("n1")))
    store.execute(SessionCreate(MORTAL))
    store.execute(KVLock("k", b"1", 0, "s"))
    store.execute(SessionDestroy("s"))
    store.flush()
    assert SessionKeeper(store, VirtualClock()).delayed("k")
