import asyncio
from pathlib import Path

import pytest

from meshagent.agent.gossip.snapshot_file import SnapshotFile, read_snapshot
from meshagent.agent.gossip.snapshot_log import COMPACT_BYTES, Replayed


async def test_lines_are_appended_after_one_rewrite(tmp_path: Path) -> None:
    path = tmp_path / "serf" / "local.snapshot"
    file = SnapshotFile(path, Replayed({"old": "10.0.0.9:1"}, clock=4))
    await file.flush()
    assert path.read_bytes() == b"alive: old 10.0.0.9:1\nclock: 4\nevent-clock: 0\nquery-clock: 0\n"
    first = path.stat().st_ino
    file.log.alive("a", "10.0.0.1:8301")
    await file.flush()
    await file.flush()
    assert path.stat().st_ino == first
    assert path.read_bytes().endswith(b"query-clock: 0\nalive: a 10.0.0.1:8301\n")
    assert read_snapshot(path, rejoin_after_leave=False).alive == {"old": "10.0.0.9:1", "a": "10.0.0.1:8301"}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_long_file_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "local.snapshot"
    file = SnapshotFile(path, Replayed())
    await file.flush()
    for round_ in range(COMPACT_BYTES // 36 + 2):
        file.log.alive("a", "10.0.0.1:8301")
        file.log.gone("a")
        if round_ % 1000 == 999:
            await file.flush()
    assert path.stat().st_size > 100_000
    await file.flush()
    file.log.alive("b", "10.0.0.2:8301")
    await file.flush()
    assert path.stat().st_size < 200
    assert read_snapshot(path, rejoin_after_leave=False).alive == {"b": "10.0.0.2:8301"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["local.snapshot"]


async def test_a_torn_line_is_gone_after_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "local.snapshot"
    path.write_bytes(b"alive: a 10.0.0.1:8301\nalive: b 10.0.0")
    file = SnapshotFile(path, read_snapshot(path, rejoin_after_leave=False))
    file.log.alive("c", "10.0.0.3:8301")
    await file.flush()
    assert read_snapshot(path, rejoin_after_leave=False).alive == {"a": "10.0.0.1:8301", "c": "10.0.0.3:8301"}


async def test_a_disk_that_refuses_is_reported_once_and_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "serf" / "local.snapshot"
    (tmp_path / "serf").write_text("in the way")
    file = SnapshotFile(path, Replayed())
    file.log.alive("a", "10.0.0.1:8301")
    for _ in range(3):
        await file.flush()
    assert caplog.text.count("cannot be written") == 1
    (tmp_path / "serf").unlink()
    await file.flush()
    assert read_snapshot(path, rejoin_after_leave=False).alive == {"a": "10.0.0.1:8301"}


async def test_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "local.snapshot"
    file = SnapshotFile(path, Replayed())
    for number in range(20):
        file.log.alive(f"n{number}", "10.0.0.1:8301")
        if number % 3 == 0:
            await asyncio.gather(*(file.flush() for _ in range(3)))
    await file.flush()
    assert len(read_snapshot(path, rejoin_after_leave=False).alive) == 20


def test_nothing_to_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_snapshot(tmp_path / "none", rejoin_after_leave=False) == Replayed()
    assert caplog.text == ""
    assert read_snapshot(tmp_path, rejoin_after_leave=False) == Replayed()
    assert "cannot be read" in caplog.text
