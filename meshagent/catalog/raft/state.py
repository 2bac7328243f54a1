"""All that is replicated, as one state machine: the catalog's, the outcomes of retried writes, the configuration.

Source: Ongaro (2014), sections 4 and 5: a snapshot holds the newest configuration it covers. The first chunks of a
snapshot are ours:

    "MESHHEAD" msgpack [version, configuration index, configuration, outcomes, log time in ms, marks, outcome count,
                        id of the state being restored, how many chunks of it there are]
    ("MESHDONE" msgpack [[request id, kind, result], ...])*
    ("MESHPART" chunk)*

and the rest is the catalog's. In version 1 `outcomes` held all of them and nothing followed it; in version 2 it is
empty, so that a full table does not hold the loop. A snapshot without a head was written by a server that was alone.

What may be changed: a new layout gets a new `VERSION`; the old one stays readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from meshagent.catalog.log import Restoring, StateMachine, begin_restore
from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.raft.once import Dumped, Outcomes
from meshagent.catalog.raft.staging import Staging
from meshagent.errors import CorruptData

__all__ = ["ReplicatedState", "StateRestoring", "configuration_in"]

VERSION = 2
MAGIC = b"MESHHEAD"
MAGIC_DONE = b"MESHDONE"
MAGIC_PART = b"MESHPART"


class _Head(msgspec.Struct, array_like=True):
    version: int
    configuration_index: int
    configuration: Configuration
    outcomes: list[Dumped] = []
    time_ms: int = 0
    marks: list[tuple[int, int]] = []
    outcome_count: int = 0
    staged_id: bytes = b""
    staged_count: int = 0


_encode = msgspec.msgpack.Encoder().encode
_head_decoder = msgspec.msgpack.Decoder(_Head)
_done_decoder = msgspec.msgpack.Decoder(list[Dumped])


def configuration_in(first_chunk: bytes) -> tuple[int, Configuration] | None:
    """(index of its entry, configuration) of a snapshot that begins so, if it holds one. Raises CorruptData."""
    if not first_chunk.startswith(MAGIC):
        return None
    head = _decode(first_chunk)
    return (head.configuration_index, head.configuration) if head.configuration.servers else None


class ReplicatedState:
    """A `StateMachine` around `machine`. `configuration` says which one holds at the applied index."""

    def __init__(self, machine: StateMachine) -> None:
        self.apply: Callable[[bytes], Any] = machine.apply
        self.flush: Callable[[], None] = machine.flush
        self.outcomes = Outcomes()
        self.staging = Staging(machine)
        self.configuration: Callable[[], tuple[int, Configuration]] = lambda: (0, Configuration())
        self.restored: tuple[int, Configuration] | None = None
        self.machine = machine

    def pass_to(self, time_ms: int) -> None:
        """The next commands are of an entry of log time `time_ms`."""
        self.outcomes.pass_to(time_ms)

    def apply_once(self, request_id: bytes, command: bytes) -> Any:
        """Apply, unless it was applied under this id before: the same result, or the same error, again."""
        outcomes = self.outcomes
        if request_id in outcomes.known:
            return outcomes.result(request_id)
        try:
            result = self.apply(command)
        except Exception as error:
            outcomes.add_error(request_id, error)
            raise
        outcomes.add(request_id, result)
        return result

    def snapshot(self) -> Iterator[bytes]:
        outcomes, staged_id, staged = self.outcomes, self.staging.id, list(self.staging.chunks)
        head = _Head(
            VERSION,
            *self.configuration(),
            [],
            outcomes.time_ms,
            outcomes.marks(),
            len(outcomes),
            staged_id,
            len(staged),
        )
        done = (MAGIC_DONE + _encode(piece) for piece in outcomes.dump())
        parts = (MAGIC_PART + chunk for chunk in staged)
        return chain((MAGIC + _encode(head),), done, parts, self.machine.snapshot())

    def begin_restore(self) -> StateRestoring:
        """A state to be read beside this one."""
        return StateRestoring(self)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state where nothing is served yet. Raises CorruptData and changes nothing."""
        restoring = self.begin_restore()
        for chunk in chunks:
            restoring.load(chunk)
        restoring.finish()
        restoring.take_place()


class StateRestoring:
    """`load` every chunk, `finish`, then `take_place` or forget it."""

    def __init__(self, state: ReplicatedState) -> None:
        self._state = state
        self._machine: Restoring = begin_restore(state.machine)
        self._outcomes = Outcomes()
        self._staging = Staging(state.machine)
        self._head: _Head | None = None
        self._outcomes_left = 0
        self._staged_left = 0

    def load(self, chunk: bytes) -> None:
        """The next chunk. Raises CorruptData."""
        if self._head is None:
            if chunk.startswith(MAGIC):
                self._begin(_decode(chunk))
                return
            self._head = _Head(VERSION, 0, Configuration())
        if self._outcomes_left:
            self._load_outcomes(chunk)
        elif self._staged_left:
            if not chunk.startswith(MAGIC_PART):
                raise CorruptData(f"a snapshot lacks {self._staged_left} chunks of a state that was being restored")
            self._staging.take(self._head.staged_id, len(self._staging.chunks), chunk[len(MAGIC_PART) :])
            self._staged_left -= 1
        else:
            self._machine.load(chunk)

    def _begin(self, head: _Head) -> None:
        self._head = head
        self._outcomes.load(head.time_ms, head.marks, head.outcomes)
        self._outcomes_left = head.outcome_count
        self._staged_left = head.staged_count

    def _load_outcomes(self, chunk: bytes) -> None:
        if not chunk.startswith(MAGIC_DONE):
            raise CorruptData(f"a snapshot lacks {self._outcomes_left} outcomes of writes that its head counts")
        try:
            outcomes = _done_decoder.decode(memoryview(chunk)[len(MAGIC_DONE) :])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptData(f"the outcomes of writes in a snapshot do not decode: {error}") from error
        self._outcomes.extend(outcomes)
        self._outcomes_left -= len(outcomes)

    def finish(self) -> None:
        """Everything was loaded. Raises CorruptData when something is missing."""
        if self._outcomes_left or self._staged_left:
            raise CorruptData("a snapshot ends before the state begins")
        self._machine.finish()

    def take_place(self) -> Iterator[object]:
        """Be the state from now on; the steps returned let go of the old one."""
        old = self._machine.take_place()
        state, head = self._state, self._head
        members = None if head is None or not head.configuration.servers else head
        state.restored = None if members is None else (members.configuration_index, members.configuration)
        outcomes, state.outcomes = state.outcomes, self._outcomes
        staging, state.staging = state.staging, self._staging
        staging.throw_away()
        return chain(old, outcomes.let_go(), *staging.leaving())

    def forget(self) -> Iterator[object]:
        """Steps that let go of what was loaded, instead of `take_place`."""
        self._staging.throw_away()
        return chain(self._machine.forget(), self._outcomes.let_go(), *self._staging.leaving())


def _decode(chunk: bytes) -> _Head:
    try:
        head = _head_decoder.decode(memoryview(chunk)[len(MAGIC) :])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptData(f"the head of a snapshot does not decode: {error}") from error
    if not 1 <= head.version <= VERSION:
        raise CorruptData(f"snapshot head of version {head.version}, this program reads {VERSION}: use a newer one")
    return head
