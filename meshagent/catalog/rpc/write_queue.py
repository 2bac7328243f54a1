"""Writes that wait for a leader, in the order in which they were asked for, also when attempts fail in another one.

Source: ours. A client agent sends the end of a service behind its beginning, and both may wait here: were they put back
as their failures come (one by one, or the newer batch first), the service would come back.

What may be changed: `push` and `take_batch` run for every forwarded write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from meshagent.catalog.rpc.writes import MAX_BATCH_BYTES, MAX_BATCH_WRITES

__all__ = ["WriteQueue"]


class _Numbered(Protocol):
    """`number` grows with each that is asked for; `done`: nobody waits for it any more."""

    number: int
    command: bytes

    def done(self) -> bool: ...


W = TypeVar("W", bound=_Numbered)
_number = attrgetter("number")


class WriteQueue(Generic[W]):
    """Its length and `bytes` count all that wait."""

    def __init__(self) -> None:
        self._waiting: deque[W] = deque()
        self._back: list[W] = []  # they go to their places when the queue is looked at
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._back)

    def push(self, write: W) -> None:
        """It was asked for behind all others."""
        self._waiting.append(write)
        self.bytes += len(write.command)

    def put_back(self, writes: Sequence[W]) -> None:
        """An attempt with these has failed."""
        self._back += writes
        self.bytes += sum(len(write.command) for write in writes)

    def take_batch(self) -> list[W]:
        """The oldest, as many as fit into one frame, but for those that nobody waits for any more."""
        self._sort()
        writes: list[W] = []
        size = 0
        while self._waiting and len(writes) < MAX_BATCH_WRITES:
            size += len(self._waiting[0].command)
            if writes and size > MAX_BATCH_BYTES:
                break
            write = self._waiting.popleft()
            self.bytes -= len(write.command)
            if not write.done():
                writes.append(write)
        return writes

    def take_all(self) -> list[W]:
        """All that somebody waits for."""
        self._sort()
        writes = [write for write in self._waiting if not write.done()]
        self._waiting.clear()
        self.bytes = 0
        return writes

    def _sort(self) -> None:
        if self._back:
            self._waiting = deque(sorted((*self._back, *self._waiting), key=_number))
            self._back = []
