"""I/O edge: a log that takes writes and serves reads on any server: it forwards, and tries again at the next leader.

Source: design.md "Raft" ("Followers forward to the leader in batches too. A write carries an id, so that a retry
applies once"); Ongaro (2014), sections 6.3 and 6.4; `performance.rpc_hold_timeout` (surface row G21).

What is proposed in one turn of the loop goes to the leader in one frame. A few frames may be on their way; what comes
meanwhile makes the next. A write whose answer is lost, or that meets a server that no longer leads, goes out again
under its id, until `hold_timeout_s` after it was proposed.
What may be changed: `propose` runs for every write; keep it to a few appends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Protocol

from meshagent.catalog.rpc.leading import SharedLog
from meshagent.catalog.rpc.link import Link, RpcMetrics
from meshagent.catalog.rpc.read_gate import ReadGate, pass_on
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.write_queue import WriteQueue
from meshagent.catalog.rpc.writes import (
    PROPOSE,
    READ_INDEX,
    decode_index,
    decode_outcomes,
    encode_read,
    encode_writes,
)
from meshagent.clock import Clock
from meshagent.errors import LocalProtocolError, MeshError, NoLeader, RemoteProtocolError, Timeout, Unavailable

__all__ = ["ForwardingLog"]

#: Frames of writes on their way to the leader. While it syncs one, the next arrive.
MAX_BATCHES = 4
#: Writes that wait here for a leader, or for a frame to leave. More are refused at once.
MAX_WAITING = 16_384
MAX_WAITING_BYTES = 64 << 20
#: How often to look for a leader, and whether it is still the one that has our writes.
LOOK_S = 0.02


class Links(Protocol):
    """The part of `Peers` that is used here."""

    def link(self, node_id: str) -> Link | None: ...


@dataclass(slots=True, eq=False)
class _Write:
    """A write until its future is done. The log of this server answers it itself when this server leads (`Answer`)."""

    owner: ForwardingLog
    id: bytes
    command: bytes
    future: asyncio.Future[Any]
    deadline: float
    number: int  # in the order in which they were asked for
    error: MeshError | None = None  # why the last attempt failed

    def done(self) -> bool:
        return self.future.done()

    def set_result(self, result: Any, /) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def set_exception(self, error: BaseException, /) -> None:
        """The attempt failed."""
        self.owner._failed([self], error)


@dataclass(slots=True, eq=False)
class _Batch:
    leader: str
    writes: list[_Write]
    call: asyncio.Future[bytes]


class ForwardingLog:
    """A `ReplicatedLog` over the log of this server. Made on the running loop.

    `origin`: eight bytes that no other run of any server has (random ones): with a count they make the ids of writes.
    `revive(command, result)` makes of a forwarded write's plain result what `StateMachine.apply` would have given.
    """

    def __init__(
        self,
        log: SharedLog,
        links: Links,
        *,
        node_id: str,
        origin: bytes,
        clock: Clock,
        metrics: RpcMetrics,
        settings: RpcSettings | None = None,
        revive: Callable[[bytes, Any], Any] = lambda command, result: result,
    ) -> None:
        if len(origin) != 8:
            raise LocalProtocolError("an origin has eight bytes")
        self.settings = settings or RpcSettings()
        self._log = log
        self._links = links
        self._node_id = node_id
        self._origin = origin
        self._clock = clock
        self._metrics = metrics
        self._revive = revive
        self._loop = asyncio.get_running_loop()
        self._count = count(1)
        self._numbers = count(1)
        self._waiting: WriteQueue[_Write] = WriteQueue()
        self._batches: set[_Batch] = set()
        self._turning = False
        self._look: asyncio.TimerHandle | None = None
        self._stopped = False
        self._leader: str | None = None
        hold_s = self.settings.hold_timeout_s
        self._default = ReadGate(partial(self._question, consistent=False), timeout_s=hold_s)
        self._consistent = ReadGate(self._confirmation, timeout_s=hold_s)
        log.on_change.append(self._on_change)

    # -- ReplicatedLog

    async def start(self) -> None:
        await self._log.start()

    async def stop(self) -> None:
        self._stopped = True
        for batch in list(self._batches):
            batch.call.cancel()
        for write in self._waiting.take_all():
            self._settle(write, Unavailable("this server is shutting down"))
        if self._look is not None:
            self._look.cancel()
        await self._log.stop()

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        """As `ReplicatedLog.propose`, on any server; it waits up to `hold_timeout_s` for a leader.

        NoLeader, Unavailable or Timeout: it may or may not be applied later.
        """
        log = self._log
        leads = log.is_leader
        if leads and not log.has_others:  # nobody else to try it again with: it needs no id of ours
            return log.propose(command, request_id)
        future: asyncio.Future[Any] = self._loop.create_future()
        id = request_id or self._origin + next(self._count).to_bytes(8, "big")
        deadline = self._clock.monotonic() + self.settings.hold_timeout_s
        write = _Write(self, id, command, future, deadline, next(self._numbers))
        if leads and not self._waiting:
            log.hand_in(command, id, write)
        elif self._stopped:
            future.set_exception(Unavailable("this server is shutting down"))
        elif len(self._waiting) >= MAX_WAITING or self._waiting.bytes + len(command) > MAX_WAITING_BYTES:
            future.set_exception(Unavailable("too many writes wait for the leader"))
        else:
            self._waiting.push(write)
            self._turn_soon()
        return future

    async def barrier(self) -> None:
        """As `ReplicatedLog.barrier`, on any server; it waits up to `hold_timeout_s` for a leader."""
        await self.read_barrier(consistent=True)

    # -- ServingLog

    def read_gate(self, *, consistent: bool = False) -> asyncio.Future[None] | None:
        """As `ServingLog.read_gate`."""
        if consistent:
            return self._consistent.ready()
        return None if self._log.is_leader else self._default.ready()

    async def read_barrier(self, *, consistent: bool = False) -> None:
        """As `ServingLog.read_barrier`; it waits up to `hold_timeout_s` for a leader."""
        deadline = self._clock.monotonic() + self.settings.hold_timeout_s
        while (gate := self.read_gate(consistent=consistent)) is not None:
            try:
                await asyncio.shield(gate)
            except (NoLeader, Unavailable, Timeout) as error:
                if self._stopped or self._clock.monotonic() >= deadline:
                    raise NoLeader(str(error) if isinstance(error, NoLeader) else "No cluster leader") from error
                await self._clock.sleep(LOOK_S)
            else:
                return

    @property
    def has_heard(self) -> bool:
        return self._log.has_heard

    @property
    def is_leader(self) -> bool:
        return self._log.is_leader

    @property
    def leader(self) -> str:
        return self._log.leader

    @property
    def last_contact_ms(self) -> int:
        return self._log.last_contact_ms

    def stats(self) -> dict[str, str]:
        return self._log.stats()

    def _on_change(self) -> None:
        """Role, term or leader has changed: what waits may go, what an old leader has must be taken back."""
        leader = self._log.leader_id
        if leader and leader != self._leader:
            self._leader = leader
            for gate in (self._default, self._consistent):
                gate.give_up()
        if self._waiting or self._batches:
            self._take_back(leader)
            self._turn_soon()

    # -- writes

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """What waits leaves, if there is a leader to take it."""
        self._turning = False
        if not self._waiting:
            return
        leader = self._log.leader_id
        if leader == self._node_id:
            for write in self._waiting.take_all():
                self._log.hand_in(write.command, write.id, write)
            return
        link = None if not leader else self._links.link(leader)
        if link is not None and leader:
            while self._waiting and len(self._batches) < MAX_BATCHES:
                self._send(leader, link, self._waiting.take_batch())
        self._look_later()

    def _send(self, leader: str, link: Link, writes: list[_Write]) -> None:
        if not writes:
            return
        payload = encode_writes([(write.id, write.command) for write in writes])
        timeout_s = max(0.001, max(write.deadline for write in writes) - self._clock.monotonic())
        batch = _Batch(leader, writes, link.call(PROPOSE, payload, timeout_s))
        self._batches.add(batch)
        self._metrics.incr("rpc.forwarded", len(writes))
        batch.call.add_done_callback(lambda _: self._answered(batch))

    def _answered(self, batch: _Batch) -> None:
        self._batches.discard(batch)
        writes = batch.writes
        if batch.call.cancelled() and self._stopped:
            self._failed(writes, Unavailable("this server is shutting down"))
        elif batch.call.cancelled():
            self._failed(writes, NoLeader("leadership lost while committing log"))
        elif (error := batch.call.exception()) is not None:
            self._failed(writes, error)
        else:
            try:
                outcomes = decode_outcomes(batch.call.result())
                if len(outcomes) != len(writes):
                    raise RemoteProtocolError("the leader answered another number of writes than it was sent")
            except RemoteProtocolError as wrong:
                self._failed(writes, wrong)
            else:
                self._outcomes(writes, outcomes)
        if self._waiting:
            self._turn_soon()

    def _outcomes(self, writes: list[_Write], outcomes: list[Any]) -> None:
        again: list[_Write] = []
        for write, outcome in zip(writes, outcomes, strict=True):
            if not isinstance(outcome, MeshError):
                if not write.future.done():
                    write.future.set_result(self._revive(write.command, outcome))
            elif outcome.retryable:
                write.error = outcome
                again.append(write)
            else:
                self._settle(write, outcome)
        self._again(again)

    def _failed(self, writes: list[_Write], error: BaseException) -> None:
        """An attempt failed as a whole: again, if that can help."""
        if isinstance(error, MeshError) and error.retryable:
            for write in writes:
                write.error = error
            self._again(writes)
        else:
            for write in writes:
                self._settle(write, error)

    def _again(self, writes: list[_Write]) -> None:
        """They wait in front of what came later, for the next look at who leads (not at once: it would spin)."""
        if self._stopped:
            for write in writes:
                self._settle(write, write.error or NoLeader())
            return
        self._waiting.put_back(writes)
        if writes:
            self._look_later()

    def _look_later(self) -> None:
        if self._look is None and (self._waiting or self._batches):
            self._look = self._loop.call_later(LOOK_S, self._look_again)

    def _look_again(self) -> None:
        """Expire what waited too long; take back what an old leader has; try the new one."""
        self._look = None
        now = self._clock.monotonic()
        kept = []
        for write in self._waiting.take_all():
            if write.deadline > now:
                kept.append(write)
            else:
                self._settle(write, write.error or NoLeader())
        self._waiting.put_back(kept)
        self._take_back(self._log.leader_id)
        self._turn()
        self._look_later()

    def _take_back(self, leader: str | None) -> None:
        """Writes that an earlier leader has may never be answered."""
        if leader:
            for batch in [batch for batch in self._batches if batch.leader != leader]:
                batch.call.cancel()

    def _settle(self, write: _Write, error: BaseException) -> None:
        if not write.future.done():
            # One object raised for many would grow its traceback without end.
            write.future.set_exception(type(error)(str(error)) if isinstance(error, MeshError) else error)

    # -- reads

    def _question(self, *, consistent: bool) -> asyncio.Future[None]:
        """Whether reads may be answered here, of the leader, wherever it is. Raises NoLeader, Unavailable."""
        leader = self._log.leader_id
        if leader == self._node_id:
            return self._log.confirmed()
        link = self._links.link(leader) if leader else None
        if link is None:
            raise NoLeader
        ready: asyncio.Future[None] = self._loop.create_future()
        call = link.call(READ_INDEX, encode_read(consistent=consistent), self.settings.hold_timeout_s)
        call.add_done_callback(lambda done: self._told(done, ready))
        return ready

    def _confirmation(self) -> asyncio.Future[None]:
        """The question of all consistent reads that wait now. Raises NoLeader, Unavailable."""
        started = self._clock.monotonic()
        question = self._question(consistent=True)
        question.add_done_callback(
            lambda _: self._metrics.sample("rpc.consistentRead", (self._clock.monotonic() - started) * 1000)
        )
        return question

    def _told(self, call: asyncio.Future[bytes], ready: asyncio.Future[None]) -> None:
        """The leader has said how far this server must have applied."""
        error: BaseException | None = NoLeader() if call.cancelled() else call.exception()
        if error is None:
            try:
                index = decode_index(call.result())
            except RemoteProtocolError as wrong:
                error = wrong
            else:
                if self._log.applied_index < index:
                    self._log.when_applied(index).add_done_callback(lambda done: pass_on(done, ready))
                    return
        if ready.done():
            return
        if error is None:
            ready.set_result(None)
        else:
            ready.set_exception(error)
