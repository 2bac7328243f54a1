"""I/O edge: an operator's restore as the leader drives it: chunks of a state become entries, an exchange ends them.

Source: `staging.py` says why it goes through the log. Surface row SN2.

What may be changed: how much is on its way at a time. Who fails leaves an orphan, which the next tick throws away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, encode_part
from meshagent.clock import Clock
from meshagent.errors import Conflict, CorruptData

__all__ = ["MAX_RESTORED_BYTES", "PuttingBack"]

MAX_RESTORED_BYTES = 32 << 20  # of one chunk: an entry takes 64 MiB
AT_ONCE_BYTES = 256 << 10  # on their way; other writes queue behind them
Future = asyncio.Future[Any]


class PuttingBack:
    """At most one at a time. `propose` appends one entry; its future is done when the entry is applied here."""

    def __init__(self, restorer: Restorer, propose: Callable[[bytes], Future], clock: Clock) -> None:
        self._restorer = restorer
        self._propose = propose
        self._clock = clock
        self._under_way = False

    async def run(self, term: int, chunks: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        """`RaftLog.restore_snapshot`, on a leader of `term`."""
        if self._under_way:
            raise Conflict("another snapshot is being restored: wait for it to end")
        self._under_way = True
        try:
            await self._put(self._restorer.begin(term), _each(chunks))
        finally:
            self._under_way = False
            self._restorer.end()

    async def _put(self, id: bytes, chunks: AsyncIterator[bytes]) -> None:
        under_way: list[Future] = []
        monotonic = self._clock.monotonic
        size = number = 0
        began = monotonic()
        try:
            async for chunk in chunks:
                if len(chunk) > MAX_RESTORED_BYTES:
                    raise CorruptData(f"a chunk of {len(chunk)} bytes, the limit is {MAX_RESTORED_BYTES}")
                if not under_way:
                    began = monotonic()
                under_way.append(self._propose(encode_part(CHUNK, id, number, chunk)))
                size += len(chunk)
                number += 1
                if size >= AT_ONCE_BYTES:
                    await _all(under_way)
                    size = 0
                    await self._clock.sleep(monotonic() - began)  # other writes get as much of the time
            await _all(under_way)
            await self._propose(encode_part(EXCHANGE, id, number))
        finally:
            for future in under_way:
                future.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _all(futures: list[Future]) -> None:
    """Wait for them, oldest first, and take them off the list. Raises what the first failed one raises."""
    while futures:
        await futures[0]
        futures.pop(0)


async def _each(chunks: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk
