"""I/O edge: what one server remembers: its log, its term and vote, its snapshots. In memory, or on a disk.

Source: Ongaro and Ousterhout (2014), figure 2; the face towards the engine is pysyncobj's `Journal` (entries are
`(payload, index, term)`, positions are relative to the oldest one in memory).

Two numbers matter: the last index in memory, and `durable_index`, the last on disk. `add` and `setCurrentTerm` only
stage; `sync` hands all that is staged to the worker as one group (one fdatasync), and what is staged meanwhile makes
the next group. `mark` counts stagings and `durable_mark` follows it: what was said at a mark may leave the process
when `durable_mark` has reached it.

The oldest entry in memory is never applied or sent: it stands for its index and term only ("what comes before").
What may be changed: not the order vote, then entries: an entry on disk proves that its term is.
"""

# ruff: noqa: N802, N803 -- names that pysyncobj calls us by

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol, overload

from meshagent.catalog.raft.batch import NO_OP, time_ms_of
from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.raft.disk import Disk
from meshagent.catalog.raft.members import Members, decode_members, encode_members
from meshagent.catalog.raft.peers_file import PEERS_FILE, decode_peers
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.segments import RESERVE_BYTES, SEGMENT_BYTES, SegmentLog
from meshagent.catalog.raft.snapshots import (
    KEPT,
    SnapshotId,
    SnapshotWriter,
    list_snapshots,
    read_snapshot,
    verify_snapshot,
)
from meshagent.catalog.raft.vote import Vote, decode_vote, encode_vote
from meshagent.catalog.raft.worker import Worker, run
from meshagent.errors import ConfigError, CorruptData, Unavailable

__all__ = ["FileJournal", "Journal", "MemoryJournal"]

log = logging.getLogger("agent.server.raft")

BEFORE_ALL = SnapshotId(1, 0)  # pysyncobj's log begins with an entry 1 of term 0 that every server has
PLACEHOLDER = bytes((NO_OP,))
WINDOW_BYTES = 16 << 20
_VOTE = "vote"
_MEMBERS = "members"
_TMP = ".tmp"


class MemoryJournal:
    """Forgets all when the process ends (`-dev`); also the part in memory of a `FileJournal`."""

    keeps_snapshots = False

    def __init__(self, *, window_bytes: int = WINDOW_BYTES) -> None:
        self._entries: list[Entry] = [(PLACEHOLDER, *_pair(BEFORE_ALL))]
        self._bytes = len(PLACEHOLDER)
        self._window_bytes = window_bytes
        self._vote = Vote()
        self._on_durable: Callable[[], None] = _nothing
        self._on_failure: Callable[[BaseException], None] = _nothing
        self._scheduled = False
        self.snapshot = BEFORE_ALL
        self.members: Members | None = None
        self.durable_index = BEFORE_ALL.index
        self.mark = 0
        self.durable_mark = 0
        self.failed: BaseException | None = None

    # -- towards the driver

    def attach(self, *, on_durable: Callable[[], None], on_failure: Callable[[BaseException], None]) -> None:
        """Both are called on the loop, never from within a call to this object."""
        self._on_durable = on_durable
        self._on_failure = on_failure

    async def load(self) -> None:
        """Read what is there; afterwards `snapshot` and the entries behind it are what this server knows."""

    def sync(self) -> None:
        """Begin to make durable all that is staged, unless that is under way already."""
        if self.durable_mark != self.mark and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._synced)

    def _synced(self) -> None:
        self._scheduled = False
        self.durable_mark = self.mark
        self.durable_index = self._entries[-1][1]
        self._on_durable()

    async def heal(self) -> bool:
        """After a failure: whether the disk takes writes again. The entries behind `durable_index` are gone then."""
        return True

    @property
    def is_new(self) -> bool:
        """Whether this server has never been part of a cluster."""
        entries = self._entries
        voted = self._vote.term or self._vote.candidate
        return not voted and self.members is None and len(entries) == 1 and not entries[0][2]

    @property
    def incarnation(self) -> int:
        """Which data directory this is (`vote.py`); 0 in memory."""
        return self._vote.incarnation

    async def keep_members(self, members: Members) -> None:
        """They are on disk on return. Raises OSError."""
        self.members = members

    def trim(self, applied: int) -> None:
        """Forget the oldest of the applied entries when they take too much memory."""
        if self._bytes <= self._window_bytes:
            return
        oldest = self._entries[0][1]
        count = freed = 0
        last = min(applied - oldest, len(self._entries) - 1)
        while count < last and self._bytes - freed > self._window_bytes // 2:
            freed += len(self._entries[count][0])
            count += 1
        self._forget(count)

    def _forget(self, count: int) -> None:
        if count:
            self._bytes -= sum(len(entry[0]) for entry in self._entries[:count])
            del self._entries[:count]
            payload, index, term = self._entries[0]
            self._bytes -= len(payload) - len(PLACEHOLDER)
            self._entries[0] = (PLACEHOLDER, index, term)

    async def read_back(self, index: int) -> list[Entry]:
        """Entry `index` and some behind it, from the disk; empty when they are gone.

        Raises:
            CorruptData, OSError.
        """
        return []

    def read_snapshot(self, snapshot: SnapshotId | None = None) -> Iterator[bytes]:
        """The chunks of `snapshot` (the newest). Raises CorruptData."""
        return iter(())

    def begin_snapshot(self, snapshot: SnapshotId) -> SnapshotWriter:
        raise NotImplementedError

    async def end_snapshot(self, snapshot: SnapshotId, keep_from: int) -> None:
        """`snapshot` is on disk: the log up to `keep_from` is not needed any more."""

    def install(self, snapshot: SnapshotId) -> None:
        """The leader's `snapshot` is on disk: keep the log behind it if it belongs to it, else begin anew there."""
        position = snapshot.index - self._entries[0][1]
        if 0 <= position < len(self._entries) and self._entries[position][2] == snapshot.term:
            self._forget(position)
        else:
            self._entries = [(PLACEHOLDER, *_pair(snapshot))]
            self._bytes = len(PLACEHOLDER)
            self._cut(snapshot.index)
            self._begin_anew()
        self.snapshot = snapshot
        self.durable_index = max(self.durable_index, snapshot.index)

    @property
    def oldest_time_ms(self) -> int:
        """The log's time of the oldest entry that is kept and has one; 0: none."""
        return next((time_ms for entry in self._entries if (time_ms := time_ms_of(entry[0]))), 0)

    def counts(self) -> dict[str, int]:
        """What was done on disk since the last call, under the names of Consul's `raft.wal.*` metrics."""
        return {}

    def _begin_anew(self) -> None:
        """The log on disk is to begin behind the snapshot."""

    async def close(self) -> None:
        """Let go of the files; what was durable stays so."""

    # -- towards pysyncobj: its names, its positions

    def add(self, command: bytes, idx: int, term: int) -> None:
        self._entries.append((command, idx, term))
        self._bytes += len(command)
        self.mark += 1

    def clear(self) -> None:
        raise NotImplementedError("a snapshot from the leader goes through `install`")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        self._bytes -= sum(len(entry[0]) for entry in self._entries[entryFrom:])
        del self._entries[entryFrom:]
        self._cut(self._entries[-1][1])

    def _cut(self, last: int) -> None:
        self.durable_index = min(self.durable_index, last)

    def deleteEntriesTo(self, entryTo: int) -> None:
        self._forget(entryTo)

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Not kept: it is learned anew from the leader, and what is applied is rebuilt from the snapshot."""

    def getRaftCommitIndex(self) -> int:
        return self.snapshot.index

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        self._vote = Vote(term, votedForNodeId, self._vote.incarnation)
        self.mark += 1

    def getCurrentTerm(self) -> int:
        return self._vote.term

    def getVotedForNodeId(self) -> str | None:
        return self._vote.candidate

    def onOneSecondTimer(self) -> None:
        pass

    def _destroy(self) -> None:
        pass


class Journal(Protocol):
    """What the driver needs of a journal beyond pysyncobj's part."""

    keeps_snapshots: bool
    snapshot: SnapshotId
    members: Members | None
    durable_index: int
    mark: int
    durable_mark: int
    failed: BaseException | None

    def attach(self, *, on_durable: Callable[[], None], on_failure: Callable[[BaseException], None]) -> None: ...
    async def load(self) -> None: ...
    def sync(self) -> None: ...
    async def heal(self) -> bool: ...
    @property
    def is_new(self) -> bool: ...
    @property
    def incarnation(self) -> int: ...
    async def keep_members(self, members: Members) -> None: ...
    def trim(self, applied: int) -> None: ...
    async def read_back(self, index: int) -> list[Entry]: ...
    def read_snapshot(self, snapshot: SnapshotId | None = None) -> Iterator[bytes]: ...
    def begin_snapshot(self, snapshot: SnapshotId) -> SnapshotWriter: ...
    async def end_snapshot(self, snapshot: SnapshotId, keep_from: int) -> None: ...
    def install(self, snapshot: SnapshotId) -> None: ...
    @property
    def oldest_time_ms(self) -> int: ...
    def counts(self) -> dict[str, int]: ...
    async def close(self) -> None: ...
    def add(self, command: bytes, idx: int, term: int) -> None: ...
    def deleteEntriesFrom(self, entryFrom: int) -> None: ...
    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __len__(self) -> int: ...
    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None: ...
    def getCurrentTerm(self) -> int: ...
    def getVotedForNodeId(self) -> str | None: ...


class FileJournal(MemoryJournal):
    """Segments, vote and snapshots in one directory.

    `kept_bytes` of the log stay on disk behind a snapshot, for followers that were away for a while. A directory that
    has no incarnation takes `new_incarnation`, on disk before anything is said.

    An error of the disk fails the whole group that was being written, and everything after it, until `heal`: after a
    failed fdatasync nobody knows what is on disk, and asking again would get a wrong yes.
    """

    keeps_snapshots = True

    def __init__(
        self,
        disk: Disk,
        worker: Worker,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        window_bytes: int = WINDOW_BYTES,
        kept_bytes: int = 0,
        new_incarnation: int = 0,
    ) -> None:
        super().__init__(window_bytes=window_bytes)
        self._new_incarnation = new_incarnation
        self._kept_bytes = kept_bytes
        self._disk = disk
        self._worker = worker
        self._segments = SegmentLog(disk, segment_bytes=segment_bytes, reserve_bytes=reserve_bytes)
        self._staged: list[Entry] = []
        self._vote_staged = False
        self._in_flight = False
        self._flight_index = 0
        self._flight_mark = 0
        self._restarting = False  # the log on disk does not yet begin at the installed snapshot

    async def load(self) -> None:
        await run(self._worker, self._recover)

    def _recover(self) -> None:
        names = self._disk.names()
        for name in names:
            if name.endswith(_TMP):
                self._disk.remove(name)
        self._vote = decode_vote(self._disk.read(_VOTE), name=self._disk.path(_VOTE)) if _VOTE in names else Vote()
        if _MEMBERS in names:
            self.members = decode_members(self._disk.read(_MEMBERS), name=self._disk.path(_MEMBERS))
        found = list_snapshots(names)
        damage: CorruptData | None = None
        if found:
            self.snapshot = found[0]
            try:
                verify_snapshot(self._disk, found[0])
            except CorruptData as error:
                damage = error
                self.snapshot = self._older(found[1:], error)
        entries, torn = self._segments.recover(snapshot_index=self.snapshot.index)
        if torn:
            log.warning("journal: cut %d bytes off the end of the log, written but never acknowledged", torn)
        if entries and _VOTE not in names:
            raise CorruptData(f"{self._disk.path(_VOTE)}: missing, though there is a log; restore it from a backup")
        if damage is not None and (not entries or entries[-1][1] < found[0].index):
            raise damage  # the older snapshot and the log do not reach as far as the damaged one did
        entries = self._join(entries, damage)
        self._entries[0] = (PLACEHOLDER, *_pair(self.snapshot))
        if entries:
            if entries[0][1] <= self.snapshot.index:
                self._entries = entries
                self._entries[0] = (PLACEHOLDER, entries[0][1], entries[0][2])
            else:
                self._entries += entries
        self._bytes = sum(len(entry[0]) for entry in self._entries)
        self.durable_index = self._entries[-1][1]
        if PEERS_FILE in names:
            self._take_peers(decode_peers(self._disk.read(PEERS_FILE), name=self._disk.path(PEERS_FILE)))
        if not self._vote.incarnation and self._new_incarnation:
            self._vote = replace(self._vote, incarnation=self._new_incarnation)
            self._replace(_VOTE, encode_vote(self._vote))
        self.trim(self.snapshot.index)

    def _take_peers(self, configuration: Configuration) -> None:
        """A person says which servers there are. A crash on the way leaves the file, which is then taken again."""
        path = self._disk.path(PEERS_FILE)
        if self.is_new:
            raise ConfigError(f"{path}: this server has no state to recover: remove the file, and let it join")
        self._vote = Vote(max(self._vote.term, self._entries[-1][2]) + 1, None, self._vote.incarnation)
        self.members = Members(self._vote.term, configuration)
        self._replace(_VOTE, encode_vote(self._vote))
        self._replace(_MEMBERS, encode_members(self.members))
        self._disk.remove(PEERS_FILE)
        self._disk.sync_names()
        names = ", ".join(f"{server.node_id} at {server.address}" for server in configuration.servers)
        log.warning("journal: took %s, and removed it: the servers are now %s", path, names)

    def _older(self, older: list[SnapshotId], error: CorruptData) -> SnapshotId:
        for snapshot in older:
            try:
                verify_snapshot(self._disk, snapshot)
            except CorruptData:
                continue
            log.error("journal: %s; trying the older snapshot %s and the log behind it", error, snapshot.name)
            return snapshot
        raise error

    def _join(self, entries: list[Entry], damage: CorruptData | None) -> list[Entry]:
        """The log as it continues the snapshot; empty where it does not belong to it."""
        snapshot = self.snapshot
        if not entries:
            return entries
        first = entries[0][1]
        if first > snapshot.index + 1:
            raise damage or CorruptData(
                f"{self._disk.path('')}: the log begins at entry {first}, the newest snapshot ends at"
                f" {snapshot.index}: a file is missing; restore this server from its peers or from a saved snapshot"
            )
        last = entries[-1][1]
        position = snapshot.index - first
        if last < snapshot.index or (position >= 0 and entries[position][2] != snapshot.term):
            self._segments.restart(snapshot.index + 1)
            return []
        return entries

    def add(self, command: bytes, idx: int, term: int) -> None:
        super().add(command, idx, term)
        self._staged.append((command, idx, term))

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        super().setCurrentTerm(term, votedForNodeId)
        self._vote_staged = True

    def _cut(self, last: int) -> None:
        super()._cut(last)
        self._flight_index = min(self._flight_index, last)

    def sync(self) -> None:
        if self._in_flight or self._restarting or self.failed is not None or not (self._staged or self._vote_staged):
            return
        self._in_flight = True
        entries, self._staged = self._staged, []
        vote = self._vote if self._vote_staged else None
        self._vote_staged = False
        self._flight_index = entries[-1][1] if entries else self.durable_index
        self._flight_mark = self.mark
        self._worker.submit(partial(self._write, vote, entries), self._written)

    def _write(self, vote: Vote | None, entries: list[Entry]) -> None:
        if vote is not None:
            self._replace(_VOTE, encode_vote(vote))
        if entries:
            self._segments.append(entries)

    def _replace(self, name: str, data: bytes) -> None:
        """The old file or the new one, whatever happens; the new one on return."""
        file = self._disk.create(name + _TMP)
        try:
            file.write(0, data)
            file.sync()
        finally:
            file.close()
        self._disk.rename(name + _TMP, name)
        self._disk.sync_names()

    async def keep_members(self, members: Members) -> None:
        await run(self._worker, partial(self._replace, _MEMBERS, encode_members(members)))
        await super().keep_members(members)

    def _written(self, _: None, error: BaseException | None) -> None:
        self._in_flight = False
        if error is not None:
            self.failed = error
            self._on_failure(error)
            return
        self.durable_mark = self._flight_mark
        self.durable_index = max(self.durable_index, self._flight_index)
        self._on_durable()
        self.sync()

    def _begin_anew(self) -> None:
        self._staged.clear()
        self._restarting = True
        self._worker.submit(partial(self._segments.restart, self._entries[0][1] + 1), self._began_anew)

    def _began_anew(self, _: None, error: BaseException | None) -> None:
        if error is not None:
            self.failed = error
            self._on_failure(error)
            return
        self._restarting = False
        self.sync()

    @property
    def oldest_time_ms(self) -> int:
        return self._segments.oldest_time_ms

    def counts(self) -> dict[str, int]:
        counts = self._segments.counts
        taken = {name: count for name, count in counts.items() if count}
        counts.subtract(taken)
        return taken

    async def heal(self) -> bool:
        begin = self._segments.restart if self._restarting else self._segments.heal
        try:
            await run(self._worker, partial(begin, self.durable_index + 1))
        except OSError as error:
            self.failed = error
            return False
        self._restarting = False
        self.failed = None
        self.deleteEntriesFrom(self.durable_index - self._entries[0][1] + 1)
        self._staged.clear()
        self._vote_staged = True
        self.mark += 1
        return True

    async def read_back(self, index: int) -> list[Entry]:
        if index >= self._entries[0][1]:
            return []
        entries = await run(self._worker, partial(self._segments.read, index))
        if len(entries) == 1:  # the last of its segment
            entries += await run(self._worker, partial(self._segments.read, index + 1))
        return entries[: max(0, self._entries[0][1] + 1 - index)]  # behind that the log in memory is right

    def read_snapshot(self, snapshot: SnapshotId | None = None) -> Iterator[bytes]:
        snapshot = snapshot or self.snapshot
        return iter(()) if snapshot == BEFORE_ALL else read_snapshot(self._disk, snapshot)

    def begin_snapshot(self, snapshot: SnapshotId) -> SnapshotWriter:
        return SnapshotWriter(self._disk, snapshot)

    async def end_snapshot(self, snapshot: SnapshotId, keep_from: int) -> None:
        if snapshot.index > self.snapshot.index:  # else the leader's came in meanwhile
            self.snapshot = snapshot
        await run(self._worker, partial(self._compact, keep_from))

    def _compact(self, keep_from: int) -> None:
        for old in list_snapshots(self._disk.names())[KEPT:]:
            self._disk.remove(old.name)
        self._segments.drop_through(keep_from, keep_bytes=self._kept_bytes)

    async def close(self) -> None:
        self.failed = Unavailable("the journal is closed")
        self._on_durable = self._on_failure = _nothing
        await run(self._worker, self._segments.close)
        self._worker.stop()
        self._disk.close()


def _pair(snapshot: SnapshotId) -> tuple[int, int]:
    return snapshot.index, snapshot.term


def _nothing(*_: object) -> None:
    return
