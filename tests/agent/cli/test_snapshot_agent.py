"""`snapshot agent` (CL25): one snapshot, what is kept, misuse. With a lock: tests/e2e/test_snapshot_agent.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from meshtest.archives import archive


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-interval soon", "Invalid interval soon: a duration such as 1h was expected"),
        ("-interval=-1s", "-interval must not be negative: -1s"),
        ("-retain=-1", "-retain must not be negative"),
        ("-max-failures 0", "-max-failures must be at least 1"),
        ("-local-path /no/such/place", "-local-path: /no/such/place is no directory"),
    ],
)
def test_misuse_is_explained_without_asking_the_agent(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(f"snapshot agent {line}")
    assert (ran.status, ran.err) == (1, message + "\n")
    assert not stub.asked


def test_without_an_interval_it_saves_one_and_keeps_the_newest(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("snapshot", archive())
    others = {"backup.snap", "consul-x.snap", "consul-1.snap.old"}
    for name in {"consul-1.snap", "consul-20.snap", "consul-3.snap", *others}:
        (tmp_path / name).write_bytes(b"old")
    ran = cli("snapshot", "agent", "-interval=0", "-retain=2", "-local-path", str(tmp_path))
    assert ran.status == 0
    (new,) = {path.name for path in tmp_path.iterdir()} - others - {"consul-20.snap"}
    assert ran.out == f"Saved snapshot {new} at index 0\n"
    assert int(new.removeprefix("consul-").removesuffix(".snap")) > 1_700_000_000 * 10**9
    assert (tmp_path / new).read_bytes() == archive()


def test_nothing_is_removed_when_none_can_be_saved(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("snapshot", b"no leader", status=500)
    (tmp_path / "consul-1.snap").write_bytes(b"old")
    ran = cli("snapshot", "agent", "-interval=0", "-retain=1", "-local-path", str(tmp_path))
    assert ran.status == 1
    assert "Error saving snapshot" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["consul-1.snap"]
