"""Snapshot files: read back as written, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.disk import SimDisk

from meshagent.catalog.raft.snapshots import SnapshotId, SnapshotWriter, list_snapshots, read_snapshot, verify_snapshot
from meshagent.errors import CorruptData

HERE = SnapshotId(7, 3)


def written(chunks: list[bytes]) -> SimDisk:
    disk = SimDisk()
    writer = SnapshotWriter(disk, HERE)
    for chunk in chunks:
        writer.write([chunk])
    assert disk.names() == [HERE.name + ".tmp"]
    writer.finish()
    return disk


@given(st.lists(st.binary(max_size=100)))
def test_chunks_are_read_back(chunks: list[bytes]) -> None:
    disk = written(chunks)
    assert list(read_snapshot(disk, HERE)) == chunks
    assert list_snapshots(disk.names()) == [HERE]


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=20), max_size=5), st.data())
def test_any_changed_byte_is_noticed(chunks: list[bytes], draw: st.DataObject) -> None:
    disk = written(chunks)
    size = len(disk.read(HERE.name))
    disk.flip(HERE.name, draw.draw(st.integers(0, size - 1)), draw.draw(st.integers(1, 255)))
    with pytest.raises(CorruptData, match=rf"/sim/raft/{HERE.name}: "):
        verify_snapshot(disk, HERE)


@given(st.lists(st.binary(max_size=20), max_size=5), st.binary(max_size=60), st.data())
def test_any_other_length_is_refused(chunks: list[bytes], more: bytes, draw: st.DataObject) -> None:
    data = written(chunks).read(HERE.name)
    changed = data + more if more else data[: draw.draw(st.integers(0, len(data) - 1))]
    disk = SimDisk()
    disk.create(HERE.name).write(0, changed)
    with pytest.raises(CorruptData):
        verify_snapshot(disk, HERE)


def test_swapped_chunks_are_noticed() -> None:
    data = written([b"aaaa", b"bbbb"]).read(HERE.name)
    first = data.index(b"aaaa") - 8
    swapped = data[:first] + data[first + 12 : first + 24] + data[first : first + 12] + data[first + 24 :]
    disk = SimDisk()
    disk.create(HERE.name).write(0, swapped)
    with pytest.raises(CorruptData, match=f"at offset {first}: bad checksum"):
        verify_snapshot(disk, HERE)


def test_a_file_under_a_wrong_name_is_refused() -> None:
    disk = written([b"a"])
    disk.rename(HERE.name, SnapshotId(8, 3).name)
    with pytest.raises(CorruptData, match="header says index 7, term 3"):
        verify_snapshot(disk, SnapshotId(8, 3))


def test_an_abandoned_snapshot_leaves_nothing_and_a_finished_one_cannot_be_abandoned() -> None:
    disk = SimDisk()
    writer = SnapshotWriter(disk, HERE)
    writer.abandon()
    assert disk.names() == []
    writer = SnapshotWriter(disk, HERE)
    writer.finish()
    writer.abandon()
    assert disk.names() == [HERE.name]


def test_a_large_snapshot_is_synced_in_portions() -> None:
    disk = SimDisk()
    writer = SnapshotWriter(disk, HERE)
    for _ in range(20):
        writer.write([bytes(1 << 20)])
    assert [operation for operation, _ in disk.trace].count("sync") == 2


def test_the_newest_comes_first_and_other_files_are_none() -> None:
    names = [
        SnapshotId(9, 1).name,
        SnapshotId(10, 1).name,
        SnapshotId(10, 2).name + ".tmp",
        "snapshot-x-1.snap",
        "vote",
    ]
    assert list_snapshots(names) == [SnapshotId(10, 1), SnapshotId(9, 1)]
