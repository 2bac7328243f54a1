"""Several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from meshagent.agent.sidecars.together import WAITING, together


async def numbers(count: int, gone: list[str] | None = None) -> AsyncGenerator[int, None]:
    try:
        for at in range(count):
            yield at
            await asyncio.sleep(0)
    finally:
        if gone is not None:
            gone.append("closed")


async def test_all_items_of_all_come() -> None:
    found = [item async for item in together({"a": numbers(3), "b": numbers(200)})]
    assert [at for name, at in found if name == "a"] == [0, 1, 2]
    assert [at for name, at in found if name == "b"] == list(range(200))
    assert [item async for item in together({})] == []


async def test_closing_it_closes_all() -> None:
    gone: list[str] = []
    async with aclosing(together({"a": numbers(10**9, gone), "b": numbers(10**9, gone)})) as found:
        async for _ in found:
            break
    assert gone == ["closed", "closed"]


async def test_who_does_not_read_slows_them() -> None:
    made = 0

    async def endless() -> AsyncGenerator[int, None]:
        nonlocal made
        while True:
            made += 1
            yield made

    async with aclosing(together({"a": endless()})) as found:
        await anext(found)
        for _ in range(10 * WAITING):
            await asyncio.sleep(0)
        assert made <= WAITING + 3


async def test_a_failure_comes_to_the_reader() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        [item async for item in together({"a": broken()})]
