"""All that is replicated, as one state machine: the catalog's, the outcomes of retried writes, the configuration.

Source: Ongaro (2014), sections 4 and 5: a snapshot holds the newest configuration it covers. The first chunks of a
snapshot are ours:

    "MESHHEAD" msgpack [version, configuration index, configuration, outcomes, log time in ms, marks, outcome count]
    ("MESHDONE" msgpack [[request id, kind, result], ...])*

and the rest is the catalog's. In version 1 `outcomes` held all of them and nothing followed it; in version 2 it is
empty, so that a full table does not hold the loop. A snapshot without a head was written by a server that was alone.

What may be changed: a new layout gets a new `VERSION`; the old one stays readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from meshagent.catalog.log import StateMachine
from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.raft.once import Dumped, Outcomes
from meshagent.errors import CorruptData

__all__ = ["ReplicatedState"]

VERSION = 2
MAGIC = b"MESHHEAD"
MAGIC_DONE = b"MESHDONE"


class _Head(msgspec.Struct, array_like=True):
    version: int
    configuration_index: int
    configuration: Configuration
    outcomes: list[Dumped] = []
    time_ms: int = 0
    marks: list[tuple[int, int]] = []
    outcome_count: int = 0


_encode = msgspec.msgpack.Encoder().encode
_head_decoder = msgspec.msgpack.Decoder(_Head)
_done_decoder = msgspec.msgpack.Decoder(list[Dumped])


class ReplicatedState:
    """A `StateMachine` around `machine`. `configuration` says which one holds at the applied index."""

    def __init__(self, machine: StateMachine) -> None:
        self.apply: Callable[[bytes], Any] = machine.apply
        self.flush: Callable[[], None] = machine.flush
        self.outcomes = Outcomes()
        self.configuration: Callable[[], tuple[int, Configuration]] = lambda: (0, Configuration())
        self.restored: tuple[int, Configuration] | None = None
        self._machine = machine

    def pass_to(self, time_ms: int) -> None:
        """The next commands are of an entry of log time `time_ms`."""
        self.outcomes.pass_to(time_ms)

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
        outcomes = self.outcomes
        head = _Head(VERSION, *self.configuration(), [], outcomes.time_ms, outcomes.marks(), len(outcomes))
        done = (MAGIC_DONE + _encode(piece) for piece in outcomes.dump())
        return chain((MAGIC + _encode(head),), done, self._machine.snapshot())

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises CorruptData."""
        rest = iter(chunks)
        first = next(rest, None)
        head, outcomes = _Head(VERSION, 0, Configuration()), list[Dumped]()
        if first is not None and first.startswith(MAGIC):
            head = _decode(first)
            outcomes, rest = _read_outcomes(head, rest)
        elif first is not None:
            rest = chain((first,), rest)
        self._machine.restore(rest)
        self.restored = (head.configuration_index, head.configuration) if head.configuration.servers else None
        self.outcomes.load(head.time_ms, head.marks, outcomes)


def _read_outcomes(head: _Head, chunks: Iterator[bytes]) -> tuple[list[Dumped], Iterator[bytes]]:
    """(the outcomes, the chunks behind them)."""
    outcomes = list(head.outcomes)
    while len(outcomes) < head.outcome_count:
        chunk = next(chunks, b"")
        if not chunk.startswith(MAGIC_DONE):
            raise CorruptData(f"a snapshot has {len(outcomes)} outcomes of writes, its head says {head.outcome_count}")
        try:
            outcomes += _done_decoder.decode(memoryview(chunk)[len(MAGIC_DONE) :])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptData(f"the outcomes of writes in a snapshot do not decode: {error}") from error
    return outcomes, chunks


def _decode(chunk: bytes) -> _Head:
    try:
        head = _head_decoder.decode(memoryview(chunk)[len(MAGIC) :])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptData(f"the head of a snapshot does not decode: {error}") from error
    if not 1 <= head.version <= VERSION:
        raise CorruptData(f"snapshot head of version {head.version}, this program reads {VERSION}: use a newer one")
    return head
