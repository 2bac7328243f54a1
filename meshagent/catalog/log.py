"""The promise of a replicated log, and the one that lives in memory.

A `ReplicatedLog` takes commands (bytes), puts them in one order on a quorum of disks, and applies each exactly once to
a `StateMachine` on every server. `catalog/raft` keeps that promise; `MemoryLog` keeps it for one process without a
disk (tests). Both apply in batches: what is proposed while the loop is busy goes in together.

Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), sections 5 and 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from meshagent.errors import MeshError

__all__ = [
    "Answer",
    "MemoryLog",
    "Pause",
    "ReplicatedLog",
    "Restoring",
    "ServingLog",
    "SlicedMachine",
    "StateMachine",
    "begin_restore",
]


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of long work that has nothing to do for so long."""

    seconds: float


class StateMachine(Protocol):
    """What a log drives. Deterministic: no clock, no randomness, no order of sets."""

    def apply(self, command: bytes) -> Any:
        """Apply one committed command and return its result.

        Raises:
            MeshError: the command is refused by the state; the same on every server. Nothing has changed then.
        """

    def flush(self) -> None:
        """A batch has been applied: wake who waits."""

    def snapshot(self) -> Iterator[bytes]:
        """The state at the moment of the call, as chunks made while iterating; commands may be applied between."""

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot. Raises CorruptData and leaves the old state when it is damaged."""


class Restoring(Protocol):
    """A state that is read beside the one in use: `load` every chunk, `finish`, then `take_place`."""

    def load(self, chunk: bytes) -> None:
        """The next chunk. Raises CorruptData."""

    def finish(self) -> None:
        """Everything was loaded. Raises CorruptData when something is missing."""

    def take_place(self, *, lifted: bool = False) -> Iterator[object]:
        """Be the state from now on; the steps returned let go of the old one.

        `lifted`: an older state put back into a log that goes on: indexes stay above all that was answered.
        """

    def forget(self) -> Iterator[object]:
        """Instead: steps that let go of what was loaded."""


@runtime_checkable
class SlicedMachine(Protocol):
    """A state machine so large that `restore` would hold the loop."""

    def begin_restore(self) -> Restoring:
        """A state to be read beside this one."""


class _Gathered:
    """`Restoring` for a machine that restores at a stretch."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self._chunks: list[bytes] = []

    def load(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def finish(self) -> None:
        return

    def take_place(self, *, lifted: bool = False) -> Iterator[object]:
        self._machine.restore(self._chunks)
        return iter(())

    def forget(self) -> Iterator[object]:
        return iter(())


def begin_restore(machine: StateMachine) -> Restoring:
    """A state to be read beside that of `machine`."""
    return machine.begin_restore() if isinstance(machine, SlicedMachine) else _Gathered(machine)


class Answer(Protocol):
    """Who waits for a command: an `asyncio.Future`, as far as a log is concerned."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...


class ReplicatedLog(Protocol):
    """A log of commands agreed on by a set of servers."""

    async def start(self) -> None:
        """Load what is on disk and begin. Raises CorruptData naming the file when it cannot be trusted."""

    async def stop(self) -> None:
        """Stop; what was acknowledged is on disk."""

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        """Ask for `command` to be applied; the future has `StateMachine.apply`'s result or error.

        Of all proposals with one `request_id`, on any server, one is applied and all have its result. It is done only
        after the command is on a quorum of disks and applied here. NoLeader when no leader is known; the command may
        or may not be applied later if leadership was lost on the way.
        """

    async def barrier(self) -> None:
        """Return when everything committed before the call has been applied here, by a leader confirmed since.

        Raises:
            NoLeader: this server cannot confirm that it leads.
        """

    @property
    def is_leader(self) -> bool:
        """Whether this server may answer default reads now: it leads, under a valid lease."""

    @property
    def leader(self) -> str:
        """`host:port` of the leader's server RPC address, or ""."""

    @property
    def last_contact_ms(self) -> int:
        """Milliseconds since this server heard from the leader; 0 on the leader."""

    def stats(self) -> dict[str, str]:
        """Facts for `agent/self` and `info`, under Consul's names: state, term, last_log_index, commit_index, ..."""


class ServingLog(ReplicatedLog, Protocol):
    """What an agent is given: a log that takes writes and serves reads wherever the leader is."""

    @property
    def has_heard(self) -> bool:
        """Whether a leader has been heard since the start: before that a `stale` read has nothing to answer from."""

    def read_gate(self, *, consistent: bool = False) -> asyncio.Future[None] | None:
        """When a read that came in now may be answered from the state here; None: at once.

        Linearizable, both ways; `consistent` also asks a quorum whether the leader still leads. The future is shared:
        do not cancel it. It fails with NoLeader, Unavailable or Timeout after one attempt.
        """

    async def read_barrier(self, *, consistent: bool = False) -> None:
        """Wait for such a gate, and try again while there is no leader, for as long as a request may be held.

        Raises:
            NoLeader: there was none in that time.
        """


class MemoryLog:
    """A log of one server that forgets everything when it ends."""

    def __init__(self, machine: StateMachine, *, address: str = "127.0.0.1:8300") -> None:
        self._machine = machine
        self._address = address
        self._waiting: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._once: dict[bytes, asyncio.Future[Any]] = {}
        self._last_index = 0

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        self._apply_waiting()

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if request_id is not None and request_id in self._once:
            return self._once[request_id]
        future: asyncio.Future[Any] = loop.create_future()
        if request_id is not None:
            self._once[request_id] = future
        if not self._waiting:
            loop.call_soon(self._apply_waiting)
        self._waiting.append((command, future))
        return future

    def _apply_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for command, future in waiting:
            self._last_index += 1
            try:
                result = self._machine.apply(command)
            except MeshError as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)
        self._machine.flush()

    async def barrier(self) -> None:
        return

    async def read_barrier(self, *, consistent: bool = False) -> None:
        return

    def read_gate(self, *, consistent: bool = False) -> asyncio.Future[None] | None:
        return None

    @property
    def has_heard(self) -> bool:
        return True

    @property
    def is_leader(self) -> bool:
        return True

    @property
    def leader(self) -> str:
        return self._address

    @property
    def last_contact_ms(self) -> int:
        return 0

    def stats(self) -> dict[str, str]:
        index = str(self._last_index)
        return {
            "state": "Leader",
            "term": "1",
            "last_log_index": index,
            "commit_index": index,
            "applied_index": index,
            "last_log_term": "1",
            "last_snapshot_index": "0",
            "last_snapshot_term": "0",
            "fsm_pending": "0",
            "num_peers": "0",
            "last_contact": "0",
            "protocol_version": "3",
        }
