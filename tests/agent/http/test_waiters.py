from __future__ import annotations

import asyncio

import pytest

from meshagent.agent.http.waiters import Waiters


async def test_only_a_higher_index_wakes() -> None:
    waiters = Waiters()
    low, high = (asyncio.ensure_future(waiters.wait(index, 60)) for index in (1, 5))
    await asyncio.sleep(0)
    assert waiters
    waiters.wake(5)
    await low
    assert not high.done()
    waiters.wake(6)
    await high
    assert not waiters


async def test_the_wait_ends() -> None:
    await asyncio.wait_for(Waiters().wait(1, 0.01), 5)


async def test_failures_are_raised() -> None:
    waiters = Waiters()
    waiting = asyncio.ensure_future(waiters.wait(1, 60))
    await asyncio.sleep(0)
    waiters.fail(RuntimeError("gone"))
    waiters.wake(2)
    with pytest.raises(RuntimeError, match="gone"):
        await waiting
    assert not waiters


async def test_soon_is_once() -> None:
    waiters, calls = Waiters(), []
    for _ in range(3):
        waiters.soon(lambda: calls.append(1))
    assert calls == []
    await asyncio.sleep(0)
    assert calls == [1]
    waiters.soon(lambda: calls.append(1))
    await asyncio.sleep(0)
    assert calls == [1, 1]
