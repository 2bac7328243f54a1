"""I/O edge: the log as a row of segment files, appended to and cut off at the front.

Source: ours; the layout is in `records.py`. Files are `<sequence>.log`. The newest has space reserved ahead in the
form of zeroes that are on disk already: an fdatasync then writes data only, not the file's size and blocks (measured
on ext4: 0.15 ms against 0.26 ms). Every call blocks on the disk and runs on the journal's worker thread.

What may be changed: sizes. The order of the steps in `_roll` and `drop_through` is what recovery relies on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from meshagent.catalog.raft.batch import time_ms_of
from meshagent.catalog.raft.disk import Disk, DiskFile
from meshagent.catalog.raft.records import HEADER_BYTES, Entry, Segment, encode_group, encode_header, scan
from meshagent.errors import CorruptData

__all__ = ["SegmentLog"]

SEGMENT_BYTES = 16 << 20
RESERVE_BYTES = 1 << 20
_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class _Closed:
    sequence: int
    lowest: int  # of what is written in it; a later segment with a lower one replaces what follows from there
    highest: int  # no entry in it has a higher index
    time_ms: int = 0  # the log's time of its first entry that has one; 0: none


class SegmentLog:
    """Append-only; one thread at a time."""

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        #: What was done so far, under the names of Consul's `raft.wal.*` metrics.
        self.counts: Counter[str] = Counter()
        self._closed: list[_Closed] = []
        self._file: DiskFile | None = None
        self._sequence = 0
        self._offset = 0  # all before it is on disk; moves only after a sync
        self._reserved = 0
        self._lowest = 0  # in the open segment
        self._highest = 0
        self._time_ms = 0

    @property
    def oldest_time_ms(self) -> int:
        """The log's time of the oldest entry on disk that has one; 0: none."""
        closed = self._closed
        return next((segment.time_ms for segment in [*closed] if segment.time_ms), self._time_ms)

    def recover(self, *, snapshot_index: int = 0) -> tuple[list[Entry], int]:
        """(all entries, without a gap; the bytes of a torn tail that were cut off). What is returned is on disk.

        Raises:
            CorruptData: something that was on disk is damaged or missing.
        """
        log: list[Entry] = []
        torn = 0
        names = sorted(name for name in self._disk.names() if _sequence(name) is not None)
        for position, name in enumerate(names):
            last = position == len(names) - 1
            path = self._disk.path(name)
            segment = scan(self._disk.read(name), name=path, last=last)
            if segment is None:
                self._disk.remove(name)
                self._disk.sync_names()
                break
            if segment.sequence != _sequence(name) or (self._sequence and segment.sequence != self._sequence + 1):
                raise CorruptData(
                    f"{path}: is segment {segment.sequence}, expected {self._sequence + 1}: one is missing"
                )
            self._take(log, segment, path, snapshot_index)
            torn = segment.torn
            if log and log[-1][1] <= snapshot_index:
                del log[:-1]  # kept on disk for followers that are behind; not needed here
        if names and self._sequence:
            self._reopen()
        return log, torn

    def _take(self, log: list[Entry], segment: Segment, path: str, snapshot_index: int) -> None:
        if self._sequence:
            self._closed.append(self._open_one())
        self._time_ms = 0
        expected = log[-1][1] + 1 if log else segment.first_index
        if segment.first_index > expected:
            # A snapshot from the leader replaced the log; the older segments were about to be removed.
            if segment.first_index > snapshot_index + 1:
                raise CorruptData(f"{path}: begins at entry {segment.first_index}, expected {expected}: one is missing")
            log.clear()
        self._sequence = segment.sequence
        self._offset = segment.end
        entries = segment.entries
        self._lowest = min((entry[1] for entry in entries), default=segment.first_index)
        self._highest = max((entry[1] for entry in entries), default=segment.first_index - 1)
        if not entries:
            return
        self._note_time(entries)
        if (not log or entries[0][1] == log[-1][1] + 1) and entries[-1][1] - entries[0][1] + 1 == len(entries):
            log.extend(entries)
            return
        for entry in entries:  # some replace earlier ones
            if log and entry[1] <= log[-1][1]:
                del log[max(0, entry[1] - log[0][1]) :]
            log.append(entry)

    def _reopen(self) -> None:
        self._file = self._disk.open(_name(self._sequence))
        self._file.truncate(self._offset)
        self._file.sync()  # after a kill -9 the good records may be in the page cache only
        self._reserved = self._offset

    def append(self, entries: Sequence[Entry]) -> None:
        """All of `entries` are on disk on return. After an OSError nothing may be appended before `heal`."""
        file = self._file
        if file is None or self._offset >= self._segment_bytes:
            file = self._roll(entries[0][1])
        group = encode_group(entries, self._offset)
        end = self._offset + len(group)
        if end > self._reserved:
            reserve = min(self._reserve_bytes, max(self._segment_bytes - end, 0))
            file.write(self._offset, group + bytes(reserve))
            self._reserved = end + reserve
        else:
            file.write(self._offset, group)
        file.sync()
        counts = self.counts
        counts["log_appends"] += 1
        counts["log_entries_written"] += len(entries)
        counts["log_entry_bytes_written"] += len(group)
        counts["tail_truncations"] += entries[0][1] <= self._highest
        self._offset = end
        self._note_time(entries)
        self._lowest = min(self._lowest, entries[0][1])
        self._highest = max(self._highest, max(entry[1] for entry in entries))

    def _roll(self, first_index: int) -> DiskFile:
        """Finish the open segment, then begin the next: at most the newest ever has a tail that is not whole."""
        self._finish()
        name = _name(self._sequence + 1)
        file = self._disk.create(name)
        header = encode_header(self._sequence + 1, first_index)
        reserve = min(self._reserve_bytes, self._segment_bytes)
        file.write(0, header + bytes(reserve))
        file.sync()
        self._disk.sync_names()
        self._file = file
        self.counts["segment_rotations"] += self._sequence > 0
        self._sequence += 1
        self._offset = HEADER_BYTES
        self._reserved = HEADER_BYTES + reserve
        self._lowest = first_index
        self._highest = first_index - 1
        return file

    def _finish(self) -> None:
        if self._file is not None:
            self._file.truncate(self._offset)
            self._file.sync()
            self._file.close()
            self._file = None
            self._closed.append(self._open_one())
            self._time_ms = 0

    def _open_one(self) -> _Closed:
        return _Closed(self._sequence, self._lowest, self._highest, self._time_ms)

    def _note_time(self, entries: Sequence[Entry]) -> None:
        for payload, _, _ in entries if not self._time_ms else ():
            self._time_ms = time_ms_of(payload)
            if self._time_ms:
                return

    def heal(self, next_index: int) -> None:
        """After an OSError: drop what may be half-written and begin a new segment. Raises OSError if it still fails."""
        self._roll(next_index)

    def restart(self, next_index: int) -> None:
        """A snapshot replaces the whole log: begin a new segment, then remove all older ones."""
        self._roll(next_index)
        while self._closed:
            self._remove_oldest()

    def drop_through(self, index: int, *, keep_bytes: int = 0) -> int:
        """Remove the closed segments that hold nothing behind `index`, but not the newest `keep_bytes`; how many."""
        kept = keep_bytes // self._segment_bytes
        count = 0
        while len(self._closed) > kept and self._closed[0].highest <= index:
            self._remove_oldest()
            count += 1
        self.counts["head_truncations"] += count > 0
        return count

    def read(self, index: int) -> list[Entry]:
        """Entries from `index` on, as many as the segment that has it holds; empty when none has it any more.

        Entries that were cut off and not written anew are among them: ask only for what is in the log. Raises
        CorruptData, OSError.
        """
        segments = [*self._closed, self._open_one()]
        end = self._highest + 1
        for segment in reversed(segments):
            end = min(end, segment.highest + 1)
            if segment.lowest <= index:
                return self._read(segment, index, end)
            end = segment.lowest
        return []

    def _read(self, segment: _Closed, begin: int, end: int) -> list[Entry]:
        name = _name(segment.sequence)
        data = self._disk.read(name)
        if segment.sequence == self._sequence:
            data = data[: self._offset]
        scanned = scan(data, name=self._disk.path(name), last=False)
        # A later record replaces an earlier one.
        found = {entry[1]: entry for entry in (() if scanned is None else scanned.entries)}
        return [found[index] for index in range(begin, end)]

    def _remove_oldest(self) -> None:
        self._disk.remove(_name(self._closed[0].sequence))
        del self._closed[0]
        self._disk.sync_names()  # one by one, oldest first: what remains must never have a hole

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _name(sequence: int) -> str:
    return f"{sequence:012d}{_SUFFIX}"


def _sequence(name: str) -> int | None:
    stem = name.removesuffix(_SUFFIX)
    return int(stem) if stem != name and stem.isdecimal() else None
