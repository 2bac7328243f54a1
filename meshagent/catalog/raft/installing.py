"""I/O edge: a leader's state sent to a server that is too far behind for the log, and such a state taken in.

Source: Ongaro and Ousterhout (2014), section 7. The leader sends the state as it is when the transfer begins, chunk by
chunk, each when the one before is on the follower's disk; it serves meanwhile, and the follower answers stale reads.
The follower writes a snapshot file beside its own and gives it its name when it is whole; only then its log and state
are replaced. Chunks of the machine are framed as one msgpack list for each message.

What may be changed: chunk sizes and timeouts. Everything that comes from outside is dropped unless it is the chunk
that is expected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.messages import InstallSnapshot, SnapshotReply
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId, SnapshotWriter
from meshagent.catalog.raft.standing import LEADER
from meshagent.catalog.raft.state import ReplicatedState, StateRestoring
from meshagent.catalog.raft.transport import Transport
from meshagent.catalog.raft.worker import Worker, run
from meshagent.clock import Clock, Tasks
from meshagent.errors import CorruptData

__all__ = ["SnapshotReceiver", "SnapshotSender"]

log = logging.getLogger("agent.server.raft")

CHUNK_BYTES = 256 << 10
REST_LONGEST_S = 0.02  # after each chunk, otherwise as long as it took: for the writes of others
RETRIES = 20  # of one chunk without any answer, each after a heartbeat's time and a half

_decoder = msgspec.msgpack.Decoder(list[bytes])


class SnapshotSender:
    """The leader's side: one task for each server that is behind."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        state: ReplicatedState,
        transport: Transport,
        clock: Clock,
        tasks: Tasks,
        settings: RaftSettings,
    ) -> None:
        self._engine = engine
        self._state = state
        self._transport = transport
        self._clock = clock
        self._tasks = tasks
        self._settings = settings
        self._under_way: dict[str, tuple[SnapshotId, asyncio.Event, list[SnapshotReply]]] = {}

    @property
    def oldest_index(self) -> int | None:
        """The log behind this entry is still needed; None: no transfer is under way."""
        return min((snapshot.index for snapshot, _, _ in self._under_way.values()), default=None)

    def begin(self, node_id: str) -> None:
        if node_id not in self._under_way:
            engine = self._engine()
            snapshot = SnapshotId(engine.applied_index, engine.applied_term)
            self._under_way[node_id] = (snapshot, asyncio.Event(), [])
            chunks = self._state.snapshot()  # now, not when the task runs: entries may be applied before that
            self._tasks.start(self._send(node_id, snapshot, engine.term, chunks), name="raft-send-snapshot")

    def on_reply(self, reply: SnapshotReply) -> None:
        under_way = self._under_way.get(reply.sender)
        if under_way is not None and under_way[0].index == reply.index:
            under_way[2].append(reply)
            under_way[1].set()

    async def _send(self, node_id: str, snapshot: SnapshotId, term: int, chunks: Iterator[bytes]) -> None:
        log.info("sending the state at entry %d to server %s", snapshot.index, node_id)
        delivered: SnapshotReply | None = None
        try:
            frames = _frames(chunks, self._clock, self._settings.slice_s)
            for number, (data, done) in enumerate(frames):
                began = self._clock.monotonic()
                reply = await self._deliver(node_id, snapshot, term, number, data, done)
                if reply is None or (not reply.done and (reply.chunk != number + 1 or done)):
                    break
                if reply.done:
                    delivered = reply
                    break
                await self._clock.sleep(min(self._clock.monotonic() - began, REST_LONGEST_S))
        finally:
            del self._under_way[node_id]
        engine = self._engine()
        # Not `takes_commands`: while leadership is handed over this server may yet lead on.
        if engine.term != term or engine.role != LEADER:
            return
        if delivered is not None:
            engine.snapshot_delivered(node_id, snapshot.index, delivered.epoch)
        else:
            log.warning("the state at entry %d did not reach server %s", snapshot.index, node_id)
            engine.snapshot_failed(node_id)

    async def _deliver(
        self, node_id: str, snapshot: SnapshotId, term: int, number: int, data: bytes, done: bool
    ) -> SnapshotReply | None:
        """Send one chunk until it is answered; None when that is given up."""
        engine = self._engine()
        replies = self._under_way[node_id][2]
        pause = 1.5 * self._settings.heartbeat_s * self._settings.multiplier
        silent = 0
        while silent < RETRIES:
            if engine.term != term or engine.match_index(node_id) >= snapshot.index:
                return None
            epoch = self._transport.epoch(node_id)
            engine.say(
                node_id,
                InstallSnapshot(engine.node_id, term, epoch, snapshot.index, snapshot.term, number, data, done),
            )
            silent += 1
            until = self._clock.monotonic() + pause
            while await self._heard(node_id, until):
                reply = replies.pop(0)
                if reply.chunk == number and not reply.done:
                    silent = 0  # it is at work on this one
                elif reply.chunk < number and not reply.done:
                    return None if reply.chunk == 0 else reply
                else:
                    return reply
        return None

    async def _heard(self, node_id: str, until: float) -> bool:
        """Whether there is a reply before `until`."""
        _, heard, replies = self._under_way[node_id]
        while not replies:
            left = until - self._clock.monotonic()
            if left <= 0:
                return False
            heard.clear()
            await _either(heard.wait(), self._clock.sleep(left))
        return True


async def _either(first: Awaitable[Any], second: Awaitable[Any]) -> None:
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _frames(chunks: Iterator[bytes], clock: Clock, slice_s: float) -> Iterator[tuple[bytes, bool]]:
    """(data of one message, whether it is the last)."""
    frame: list[bytes] = []
    size = 0
    until = clock.monotonic() + slice_s
    for chunk in chunks:
        frame.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES or clock.monotonic() >= until:
            yield msgspec.msgpack.encode(frame), False
            frame, size = [], 0
            until = clock.monotonic() + slice_s
    yield msgspec.msgpack.encode(frame), True


class SnapshotReceiver:
    """The follower's side: at most one snapshot at a time."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        journal: Journal,
        worker: Worker,
        tasks: Tasks,
        begin_restore: Callable[[], StateRestoring],
        install: Callable[[SnapshotId, StateRestoring], Awaitable[bool]],
        aside: Callable[[Iterator[object]], None],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._worker = worker
        self._tasks = tasks
        self._begin_restore = begin_restore
        self._install = install
        self._aside = aside
        self._key: tuple[str, int, int, int] | None = None  # sender, its term, index and term of the snapshot
        self._wanted = 0
        self._busy = False
        self._writer: SnapshotWriter | None = None
        self._restoring: StateRestoring | None = None
        self.begun = 0  # how many transfers began here

    def on_chunk(self, message: InstallSnapshot) -> None:
        engine = self._engine()
        if engine.commit_index >= message.index:
            self._answer(message, 0, done=True)  # the log came this far by itself, or it is installed
            return
        if self._busy:
            if self._key == _key(message):
                self._answer(message, self._wanted, done=False)  # at work on it
            return
        if message.chunk == 0 and self._key != _key(message):
            self._busy = True
            self._tasks.start(self._begin(message), name="raft-take-snapshot")
        elif self._key == _key(message) and message.chunk == self._wanted:
            self._busy = True
            self._tasks.start(self._take(message), name="raft-take-snapshot")
        else:
            self._answer(message, self._wanted if self._key == _key(message) else 0, done=False)

    async def _begin(self, message: InstallSnapshot) -> None:
        try:
            await self._abandon()
            self.begun += 1
            if self._journal.keeps_snapshots:
                snapshot = SnapshotId(message.index, message.last_term)
                self._writer = await run(self._worker, partial(self._journal.begin_snapshot, snapshot))
            self._restoring = self._begin_restore()
            self._wanted = 0
            self._key = _key(message)
        except OSError as error:
            log.error("the leader's state cannot be written: %s", error)
            self._busy = False
            return
        await self._take(message)

    async def _take(self, message: InstallSnapshot) -> None:
        try:
            chunks = _decoder.decode(message.data)
            if self._writer is not None:
                await run(self._worker, partial(self._writer.write, chunks))
            restoring = self._restoring
            if restoring is None:
                return
            for chunk in chunks:
                restoring.load(chunk)
            if not message.done:
                self._wanted = message.chunk + 1
                self._answer(message, self._wanted, done=False)
            elif await self._finish(SnapshotId(message.index, message.last_term), restoring):
                self._answer(message, message.chunk + 1, done=True)
        except (OSError, msgspec.DecodeError, CorruptData) as error:
            log.error("the leader's state cannot be taken: %s", error)
            await self._abandon()
        finally:
            self._busy = False

    async def _finish(self, snapshot: SnapshotId, restoring: StateRestoring) -> bool:
        if self._writer is not None:
            await run(self._worker, self._writer.finish)
        installed = await self._install(snapshot, restoring)
        if installed:
            self._restoring = None
        self._forget()
        self._writer, self._key = None, None
        return installed

    def _forget(self) -> None:
        restoring, self._restoring = self._restoring, None
        if restoring is not None:
            self._aside(restoring.forget())

    async def _abandon(self) -> None:
        writer, self._writer, self._key = self._writer, None, None
        self._forget()
        if writer is not None:
            await run(self._worker, writer.abandon)

    def _answer(self, message: InstallSnapshot, chunk: int, *, done: bool) -> None:
        engine = self._engine()
        if engine.term == message.term:
            engine.say(
                message.sender,
                SnapshotReply(
                    engine.node_id, engine.term, message.epoch, message.index, chunk, done, engine.incarnation
                ),
            )


def _key(message: InstallSnapshot) -> tuple[str, int, int, int]:
    return message.sender, message.term, message.index, message.last_term
