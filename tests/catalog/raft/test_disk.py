"""The real disk keeps the small promises that the journal is built on, and the simulated one has the same face."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from meshtest.disk import Crash, SimDisk

from meshagent.catalog.raft.disk import Disk, FileDisk
from meshagent.errors import Unavailable


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return FileDisk(tmp_path / "raft") if request.param == "real" else SimDisk()


def test_both_disks_do_the_same(disk: Disk) -> None:
    file = disk.create("a")
    file.write(0, b"hello")
    file.write(8, b"!")
    file.sync()
    file.close()
    assert disk.read("a") == b"hello\0\0\0!"
    file = disk.open("a")
    file.truncate(4)
    file.write(1, b"E")
    file.close()
    disk.rename("a", "b")
    disk.sync_names()
    assert disk.names() == ["b"]
    with disk.reader("b") as reader:
        assert reader.read(3) == b"hEl"
    assert disk.create("b") is not None
    assert disk.read("b") == b""
    disk.remove("b")
    assert disk.names() == []
    assert disk.path("x").endswith("raft/x")


def test_a_directory_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    first = FileDisk(tmp_path / "raft")
    with pytest.raises(Unavailable, match="raft: in use by another process"):
        FileDisk(tmp_path / "raft")
    first.close()
    FileDisk(tmp_path / "raft").close()


def test_the_simulated_disk_loses_what_was_not_synced_and_keeps_what_was() -> None:
    outcomes = set()
    for seed in range(200):
        disk = SimDisk()
        file = disk.create("a")
        file.write(0, b"a" * 512)
        file.sync()
        disk.sync_names()
        file.write(512, b"b" * 1024)
        disk.create("new")
        disk.crash(random.Random(seed))
        data = disk.read("a")
        assert data[:512] == b"a" * 512
        outcomes.add((bytes(data[512::512]), "new" in disk.names()))
    assert {data for data, _ in outcomes} == {b"", b"b", b"bb", b"\0b"}
    assert {name for _, name in outcomes} == {True, False}


def test_a_dead_process_does_nothing_more() -> None:
    disk = SimDisk()
    disk.crash_at = 1
    file = disk.create("a")
    for _ in range(2):
        with pytest.raises(Crash):
            file.write(0, b"x")
    assert disk.read("a") == b""
