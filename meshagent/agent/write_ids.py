"""Ids for what one request writes: the same on every attempt, so that a retry at another server applies once.

An agent that forwards a request gives it an id. While a server handles it, the writes and the new UUIDs of that request
come from the id, in order. Source: Ongaro (2014), section 6.3. No I/O: a context variable of the running task.

What may be changed: nothing: two versions of a server must derive the same ids.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["WriteIds", "current_writes", "writing_as"]


class WriteIds:
    """The ids of one request; `seed` is its own."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def next_id(self) -> bytes:
        """The id of the next write: 16 bytes."""
        return self._derived(b"write")

    def next_uuid(self) -> str:
        """The next UUID, of version 4 in form, as all of Consul's."""
        return str(uuid.UUID(bytes=self._derived(b"uuid"), version=4))

    def _derived(self, kind: bytes) -> bytes:
        self._count += 1
        return hashlib.blake2b(self._seed + self._count.to_bytes(4, "big"), digest_size=16, person=kind).digest()


_writes: ContextVar[WriteIds | None] = ContextVar("writes", default=None)


def current_writes() -> WriteIds | None:
    """Those of the request that the running task handles, None when it came to this agent directly."""
    return _writes.get()


@contextmanager
def writing_as(seed: bytes) -> Iterator[None]:
    """What is written inside has ids that come from `seed`; b"": fresh ones."""
    token = _writes.set(WriteIds(seed) if seed else None)
    try:
        yield
    finally:
        _writes.reset(token)
