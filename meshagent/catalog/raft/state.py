"""All that is replicated, as one state machine: the catalog's, the outcomes of retried writes, the configuration.

Source: Ongaro (2014), sections 4 and 5: a snapshot holds the newest configuration it covers. The first chunk of a
snapshot is ours ("MESHHEAD", then msgpack [version, configuration index, configuration, outcomes]); the rest is the
catalog's. A snapshot without such a first chunk was written by a server that was alone.

What may be changed: a new layout gets a new `VERSION`; the old one stays readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from meshagent.catalog.log import StateMachine
from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.raft.once import Outcomes
from meshagent.errors import CorruptData

__all__ = ["ReplicatedState"]

VERSION = 1
MAGIC = b"MESHHEAD"


class _Head(msgspec.Struct, array_like=True):
    version: int
    configuration_index: int
    configuration: Configuration
    outcomes: list[tuple[bytes, str, Any]]


class ReplicatedState:
    """A `StateMachine` around `machine`. `configuration` says which one holds at the applied index."""

    def __init__(self, machine: StateMachine) -> None:
        self.apply: Callable[[bytes], Any] = machine.apply
        self.flush: Callable[[], None] = machine.flush
        self.outcomes = Outcomes()
        self.configuration: Callable[[], tuple[int, Configuration]] = lambda: (0, Configuration())
        self.restored: tuple[int, Configuration] | None = None
        self._machine = machine

    def apply_once(self, request_id: bytes, command: bytes) -> Any:
        """Apply, unless it was applied under this id before: the same result, or the same error, again."""
        if request_id in self.outcomes:
            return self.outcomes.result(request_id)
        try:
            result = self.apply(command)
        except Exception as error:
            self.outcomes.add_error(request_id, error)
            raise
        self.outcomes.add(request_id, result)
        return result

    def snapshot(self) -> Iterator[bytes]:
        head = _Head(VERSION, *self.configuration(), self.outcomes.dump())
        return chain((MAGIC + msgspec.msgpack.encode(head),), self._machine.snapshot())

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises CorruptData."""
        rest = iter(chunks)
        first = next(rest, None)
        head = None
        if first is not None:
            if first.startswith(MAGIC):
                head = _decode(first)
            else:
                rest = chain((first,), rest)
        self._machine.restore(rest)
        self.restored = None if head is None else (head.configuration_index, head.configuration)
        self.outcomes.load([] if head is None else head.outcomes)


def _decode(chunk: bytes) -> _Head:
    try:
        head = msgspec.msgpack.decode(memoryview(chunk)[len(MAGIC) :], type=_Head)
    except msgspec.DecodeError as error:
        raise CorruptData(f"the head of a snapshot does not decode: {error}") from error
    if head.version != VERSION:
        raise CorruptData(f"snapshot head of version {head.version}, this program reads {VERSION}: use a newer one")
    return head
