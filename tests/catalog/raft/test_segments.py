"""The row of segment files: rolling, cutting, replacing, healing."""

from __future__ import annotations

import errno
import random

import pytest
from meshtest.disk import SimDisk

from meshagent.catalog.raft.records import HEADER_BYTES, RECORD_BYTES, Entry
from meshagent.catalog.raft.segments import SegmentLog
from meshagent.errors import CorruptData


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [(b"%d-%d" % (index, term), index, term) for index in range(first, last + 1)]


def small(disk: SimDisk) -> SegmentLog:
    return SegmentLog(disk, segment_bytes=256, reserve_bytes=64)


def filled(disk: SimDisk, last: int) -> SegmentLog:
    log = small(disk)
    log.recover()
    for index in range(2, last + 1):
        log.append(entries(index, index))
    return log


def test_an_empty_directory_is_an_empty_log_and_gets_no_file_before_the_first_entry() -> None:
    disk = SimDisk()
    assert SegmentLog(disk).recover() == ([], 0)
    assert disk.names() == []


def test_entries_over_many_segments_are_read_back_and_more_can_follow() -> None:
    disk = SimDisk()
    filled(disk, 40).close()
    assert len(disk.names()) > 5
    log = small(disk)
    assert log.recover() == (entries(2, 40), 0)
    log.append(entries(41, 45))
    log.close()
    assert small(disk).recover() == (entries(2, 45), 0)


def test_space_is_reserved_ahead_and_used() -> None:
    disk = SimDisk()
    log = SegmentLog(disk, segment_bytes=10_000, reserve_bytes=1000)
    log.append(entries(2, 2))
    size = len(disk.read("000000000001.log"))
    assert size == HEADER_BYTES + 1000
    log.append(entries(3, 3))
    assert len(disk.read("000000000001.log")) == size


def test_a_finished_segment_ends_with_its_last_record() -> None:
    disk = SimDisk()
    filled(disk, 40).close()
    first = disk.read("000000000001.log")
    assert not first.endswith(bytes(16))


def test_dropping_takes_whole_segments_and_never_the_open_one() -> None:
    disk = SimDisk()
    log = filled(disk, 40)
    assert log.drop_through(20) > 0
    kept, _ = small(disk).recover(snapshot_index=20)
    assert kept[0][1] <= 21
    assert kept[-1][1] == 40
    log.drop_through(1000)
    assert len(disk.names()) == 1


def test_later_entries_replace_earlier_ones_across_segments() -> None:
    disk = SimDisk()
    log = filled(disk, 20)
    log.append(entries(10, 12, term=2))
    log.append(entries(13, 30, term=2))
    log.close()
    assert small(disk).recover()[0] == entries(2, 9) + entries(10, 30, term=2)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_missing_segment_is_noticed(which: int) -> None:
    disk = SimDisk()
    filled(disk, 40).close()
    disk.remove(disk.names()[which])
    if which == 0:
        assert small(disk).recover()[0][0][1] > 2  # the journal compares with the snapshot
    else:
        with pytest.raises(CorruptData, match="one is missing"):
            small(disk).recover()


def test_a_segment_under_another_number_is_noticed() -> None:
    disk = SimDisk()
    filled(disk, 5).close()
    disk.rename("000000000001.log", "000000000009.log")
    with pytest.raises(CorruptData, match="is segment 1"):
        small(disk).recover()


def test_after_a_restart_from_a_snapshot_the_older_segments_are_gone() -> None:
    disk = SimDisk()
    log = filled(disk, 20)
    log.restart(101)
    log.append(entries(101, 103, term=4))
    log.close()
    assert small(disk).recover(snapshot_index=100) == (entries(101, 103, term=4), 0)


def test_a_crash_between_the_new_segment_and_the_removal_of_the_old_ones_is_sorted_out_by_the_snapshot() -> None:
    disk = SimDisk()
    log = filled(disk, 20)
    log._remove_oldest = lambda: log._closed.clear()  # type: ignore[method-assign]
    log.restart(101)
    log.append(entries(101, 103, term=4))
    log.close()
    assert small(disk).recover(snapshot_index=100)[0] == entries(101, 103, term=4)
    with pytest.raises(CorruptData, match="one is missing"):
        small(disk).recover(snapshot_index=99)


def test_healing_drops_what_was_half_written() -> None:
    disk = SimDisk()
    log = filled(disk, 10)
    disk.free_bytes = 20
    with pytest.raises(OSError, match="No space") as caught:
        log.append(entries(11, 30))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        log.heal(11)
    disk.free_bytes = None
    log.heal(11)
    log.append(entries(11, 12, term=2))
    log.close()
    disk.crash(random.Random(1))
    assert small(disk).recover()[0] == entries(2, 10) + entries(11, 12, term=2)


def test_damage_to_the_last_byte_before_the_newest_group_is_refused_and_in_the_newest_group_is_a_torn_tail() -> None:
    disk = SimDisk()
    log = SegmentLog(disk)
    log.append(entries(2, 3))
    end = HEADER_BYTES + 2 * (RECORD_BYTES + len(b"2-1"))
    log.append(entries(4, 5))
    log.close()
    disk.flip("000000000001.log", end - 1)
    with pytest.raises(CorruptData, match=rf"good ones follow at offset {end};"):
        SegmentLog(disk).recover()
    disk.flip("000000000001.log", end - 1)
    disk.flip("000000000001.log", end)
    found, torn = SegmentLog(disk).recover()
    assert found == entries(2, 3)
    assert torn > 0


def test_what_was_torn_off_does_not_come_back_behind_a_record_of_the_same_length() -> None:
    disk = SimDisk()
    log = SegmentLog(disk, reserve_bytes=0)
    log.append(entries(2, 3))
    log.close()
    disk.flip("000000000001.log", HEADER_BYTES + 4)  # entry 2 is torn, entry 3 behind it is whole
    log = SegmentLog(disk, reserve_bytes=0)
    assert log.recover()[0] == []
    log.append([(b"new", 2, 2)])
    log.close()
    assert SegmentLog(disk).recover()[0] == [(b"new", 2, 2)]


class TestReadBack:
    """What is no more in memory is read from the segment that has it."""

    def test_each_segment_gives_what_it_has(self) -> None:
        log = SegmentLog(SimDisk(), segment_bytes=200, reserve_bytes=64)
        log.recover()
        for index in range(2, 30):
            log.append(entries(index, index))
        index, pieces = 2, 0
        while index < 30:
            piece = log.read(index)
            assert piece == entries(index, piece[-1][1])
            index, pieces = piece[-1][1] + 1, pieces + 1
        assert pieces > 2
        assert log.read(30) == []

    def test_the_newest_record_of_an_entry_counts(self) -> None:
        log = SegmentLog(SimDisk(), segment_bytes=10_000)
        log.recover()
        log.append(entries(2, 9))
        log.append(entries(5, 7, term=2))
        assert log.read(3)[:5] == [*entries(3, 4), *entries(5, 7, term=2)]

    def test_a_later_segment_replaces_the_end_of_an_earlier_one(self) -> None:
        log = SegmentLog(SimDisk(), segment_bytes=100)
        log.recover()
        log.append(entries(2, 9))
        log.append(entries(6, 8, term=2))
        assert log.read(2) == entries(2, 5)
        assert log.read(6) == entries(6, 8, term=2)

    def test_what_was_dropped_is_gone_and_what_is_kept_is_not(self) -> None:
        log = SegmentLog(SimDisk(), segment_bytes=200, reserve_bytes=64)
        log.recover()
        for index in range(2, 60):
            log.append(entries(index, index))
        assert log.drop_through(50, keep_bytes=400) > 0
        assert log.read(2) == []
        assert log.read(51)[0][1] == 51
