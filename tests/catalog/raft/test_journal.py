"""What one server remembers: the window in memory, groups, marks, truncation, and the join of snapshot and log."""

from __future__ import annotations

import errno
import random

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import HeldWorker, InlineWorker, turns

from meshagent.catalog.raft.journal import FileJournal, MemoryJournal
from meshagent.catalog.raft.segments import SegmentLog
from meshagent.catalog.raft.snapshots import SnapshotId, SnapshotWriter
from meshagent.catalog.raft.vote import Vote, encode_vote
from meshagent.errors import CorruptData


class Heard:
    def __init__(self, journal: MemoryJournal) -> None:
        self.durable: list[int] = []
        self.failures: list[BaseException] = []
        self._journal = journal
        journal.attach(on_durable=self._on_durable, on_failure=self.failures.append)

    def _on_durable(self) -> None:
        self.durable.append(self._journal.durable_index)


def prepared(*, snapshot: SnapshotId | None = None, first: int = 2, last: int = 1, term: int = 1) -> SimDisk:
    """A disk with a vote, perhaps a snapshot, and the log from `first` to `last`."""
    disk = SimDisk()
    disk.create("vote").write(0, encode_vote(Vote(9, "a")))
    if snapshot is not None:
        SnapshotWriter(disk, snapshot).finish()
    if last >= first:
        log = SegmentLog(disk)
        log.append([(b"%d" % index, index, term) for index in range(first, last + 1)])
        log.close()
    return disk


async def loaded(disk: SimDisk, *, window_bytes: int = 1 << 20) -> FileJournal:
    journal = FileJournal(disk, InlineWorker(), window_bytes=window_bytes)
    await journal.load()
    return journal


async def test_a_fresh_journal_begins_with_the_entry_that_every_server_has() -> None:
    journal = await loaded(SimDisk())
    assert list(journal[:]) == [(b"\x01", 1, 0)]
    assert (journal.durable_index, journal.getCurrentTerm(), journal.getVotedForNodeId()) == (1, 0, None)
    assert list(journal.read_snapshot()) == []


async def test_a_directory_is_numbered_once_and_for_all() -> None:
    """Mutation: `setCurrentTerm` forgets the incarnation."""
    disk = SimDisk()
    journal = FileJournal(disk, InlineWorker(), new_incarnation=7)
    await journal.load()
    assert journal.incarnation == 7
    assert journal.is_new, "that is no part in a cluster yet"
    disk.crash(random.Random(1))
    again = FileJournal(disk, InlineWorker(), new_incarnation=8)
    await again.load()
    assert again.incarnation == 7, "it was on disk before `load` returned"
    again.setCurrentTerm(3, "b")
    again.sync()
    third = FileJournal(disk, InlineWorker(), new_incarnation=9)
    await third.load()
    assert (third.incarnation, third.getCurrentTerm(), third.is_new) == (7, 3, False)
    lost = FileJournal(SimDisk(), InlineWorker(), new_incarnation=10)
    await lost.load()
    assert lost.incarnation == 10


async def test_what_is_staged_while_the_disk_works_makes_the_next_group() -> None:
    worker, disk = HeldWorker(), SimDisk()
    journal = FileJournal(disk, worker)
    heard = Heard(journal)
    journal.add(b"a", 2, 1)
    journal.sync()
    journal.add(b"b", 3, 1)
    journal.add(b"c", 4, 1)
    journal.sync()
    journal.sync()
    assert len(worker.jobs) == 1
    worker.step()
    assert heard.durable == [2]
    assert journal.durable_mark < journal.mark
    assert len(worker.jobs) == 1, "the next group goes without being asked"
    worker.step()
    assert heard.durable == [2, 4]
    assert journal.durable_mark == journal.mark
    assert worker.jobs == []


async def test_the_vote_is_on_disk_before_the_entries_of_its_term() -> None:
    worker, disk = HeldWorker(), SimDisk()
    journal = FileJournal(disk, worker)
    journal.setCurrentTerm(1, "a")
    journal.add(b"a", 2, 1)
    journal.sync()
    worker.step()
    names = [name for operation, name in disk.trace if operation in ("rename", "sync")]
    assert names.index("vote.tmp") < names.index("000000000001.log")
    assert ("sync_names", "") in disk.trace[: disk.trace.index(("create", "000000000001.log"))]


async def test_a_truncation_takes_back_what_counts_as_durable_even_in_flight() -> None:
    worker = HeldWorker()
    journal = FileJournal(SimDisk(), worker)
    heard = Heard(journal)
    for index in (2, 3, 4):
        journal.add(b"old", index, 1)
    journal.sync()
    journal.deleteEntriesFrom(2)  # entries 3 and 4 go, while they are being written
    journal.add(b"new", 3, 2)
    journal.sync()
    worker.step()
    assert heard.durable == [2], "entry 3 of term 2 is not on disk yet"
    worker.step()
    assert heard.durable == [2, 3]
    assert [entry[2] for entry in journal[1:]] == [1, 2]


async def test_after_a_restart_the_later_entries_count() -> None:
    disk = SimDisk()
    journal = await loaded(disk)
    journal.setCurrentTerm(2, None)
    for index in (2, 3, 4):
        journal.add(b"old", index, 1)
    journal.sync()
    await turns()
    journal.deleteEntriesFrom(2)
    journal.add(b"new", 3, 2)
    journal.sync()
    await turns()
    again = await loaded(disk)
    assert [entry[:2] for entry in again[1:]] == [(b"old", 2), (b"new", 3)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (2, None)


async def test_after_a_failure_nothing_is_written_until_it_healed_and_the_unwritten_is_gone() -> None:
    disk = SimDisk()
    journal = await loaded(disk)
    heard = Heard(journal)
    journal.setCurrentTerm(1, "a")
    journal.add(b"a", 2, 1)
    journal.sync()
    await turns()
    disk.fail = lambda operation, name: OSError(errno.ENOSPC, "full") if operation == "write" else None
    journal.add(b"b", 3, 1)
    journal.setCurrentTerm(2, "b")
    journal.sync()
    await turns()
    assert len(heard.failures) == 1
    assert journal.failed is heard.failures[0]
    journal.add(b"c", 4, 1)
    journal.sync()
    await turns()
    assert heard.durable == [2]
    assert not await journal.heal()
    disk.fail = lambda operation, name: None
    assert await journal.heal()
    assert (journal[-1][1], journal.durable_index) == (2, 2)
    journal.add(b"d", 3, 2)
    journal.sync()
    await turns()
    assert heard.durable == [2, 3]
    again = await loaded(disk)
    assert [entry[0] for entry in again[1:]] == [b"a", b"d"]
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (2, "b"), "the vote that failed was written later"


async def test_the_window_forgets_the_oldest_applied_entries_only() -> None:
    journal = MemoryJournal(window_bytes=1000)
    for index in range(2, 52):
        journal.add(bytes(100), index, 1)
    journal.trim(10)
    assert journal[0] == (b"\x01", 10, 1)
    assert len(journal) == 42
    journal.trim(51)
    assert journal[-1][1] == 51
    assert sum(len(entry[0]) for entry in journal[:]) <= 600
    assert journal._bytes == sum(len(entry[0]) for entry in journal[:])


async def test_in_memory_durable_comes_a_turn_later() -> None:
    journal = MemoryJournal()
    heard = Heard(journal)
    journal.add(b"a", 2, 1)
    journal.sync()
    assert heard.durable == []
    await turns()
    assert heard.durable == [2]
    journal.sync()
    await turns()
    assert heard.durable == [2], "nothing new, nothing said"


@pytest.mark.parametrize(
    ("disk", "first", "last"),
    [
        (prepared(last=9), 1, 9),
        (prepared(snapshot=SnapshotId(5, 1), last=9), 2, 9),
        (prepared(snapshot=SnapshotId(5, 1), first=6, last=9), 5, 9),
        (prepared(snapshot=SnapshotId(9, 1), last=9), 9, 9),
        (prepared(snapshot=SnapshotId(9, 1)), 9, 9),
        # A snapshot from a leader is ahead of the log, or of another history: it replaces the log.
        (prepared(snapshot=SnapshotId(20, 1), last=9), 20, 20),
        (prepared(snapshot=SnapshotId(5, 2), last=9), 5, 5),
    ],
)
async def test_snapshot_and_log_are_joined(disk: SimDisk, first: int, last: int) -> None:
    for _ in range(2):
        journal = await loaded(disk)
        assert (journal[0][1], journal[-1][1], journal.durable_index) == (first, last, last)
        assert journal[0][0] == b"\x01"
        assert [entry[1] for entry in journal[:]] == list(range(first, last + 1))
        journal.add(b"next", last + 1, 9)
        journal.deleteEntriesFrom(len(journal) - 1)


async def test_the_log_goes_on_behind_a_snapshot_that_replaced_it() -> None:
    disk = prepared(snapshot=SnapshotId(20, 3), last=9)
    journal = await loaded(disk)
    journal.add(b"x", 21, 4)
    journal.sync()
    await turns()
    again = await loaded(disk)
    assert [entry[1] for entry in again[:]] == [20, 21]


@pytest.mark.parametrize(
    ("disk", "message"),
    [
        (prepared(first=3, last=9), "the log begins at entry 3, the newest snapshot ends at 1: a file is missing"),
        (prepared(snapshot=SnapshotId(5, 1), first=7, last=9), "begins at entry 7, the newest snapshot ends at 5"),
    ],
)
async def test_a_gap_between_snapshot_and_log_is_refused(disk: SimDisk, message: str) -> None:
    with pytest.raises(CorruptData, match=message):
        await loaded(disk)


async def test_half_written_files_are_removed() -> None:
    disk = prepared(last=3)
    disk.create("vote.tmp")
    SnapshotWriter(disk, SnapshotId(3, 1))
    await loaded(disk)
    assert not [name for name in disk if name.endswith(".tmp")]


async def test_a_damaged_newest_snapshot_is_not_passed_over_when_the_log_does_not_reach_as_far() -> None:
    disk = prepared(snapshot=SnapshotId(5, 1), last=9)
    SnapshotWriter(disk, SnapshotId(20, 1)).finish()
    disk.flip(SnapshotId(20, 1).name, 3)
    with pytest.raises(CorruptData, match=r"snapshot-0+20-1\.snap: at offset 0"):
        await loaded(disk)
