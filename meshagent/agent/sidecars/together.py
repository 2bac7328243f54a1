"""I/O edge: several streams read at the same time, as one; who reads slowly slows all of them.

Source: ours. What may change here: how much may wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from meshagent.clock import Tasks

__all__ = ["together"]

_T = TypeVar("_T")
#: Items that wait for the reader.
WAITING = 64


async def together(streams: Mapping[str, AsyncGenerator[_T, None]]) -> AsyncGenerator[tuple[str, _T], None]:
    """(name, item) of all streams as they come, until all have ended. A stream that fails fails the whole: give one
    that turns its errors into items. Closing it closes all."""
    tasks = Tasks()
    items: asyncio.Queue[tuple[str, _T] | None] = asyncio.Queue(WAITING)
    failed: list[BaseException] = []

    async def read(name: str, stream: Any) -> None:
        try:
            async with aclosing(stream):
                async for item in stream:
                    await items.put((name, item))
        except Exception as error:  # told to the reader, in his turn
            failed.append(error)
        await items.put(None)

    for name, stream in streams.items():
        tasks.start(read(name, stream), name=f"reading {name}")
    left = len(streams)
    try:
        while left:
            item = await items.get()
            if item is not None:
                yield item
                continue
            left -= 1
            if failed:
                raise failed[0]
    finally:
        await tasks.cancel()
