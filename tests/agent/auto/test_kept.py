from __future__ import annotations

import stat
from pathlib import Path

import pytest

from meshagent.agent.auto import kept
from meshagent.agent.auto.messages import Issued
from meshagent.connect.ca import SignedLeaf

LEAF = SignedLeaf("01", "chain", "c1", "spiffe://x", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", 7, "root")
KEPT = kept.kept_of("c1", "dc1", "key", Issued(LEAF, ("pem",), True), {"encrypt": "x"})


def test_there_and_back_for_the_owner_alone(tmp_path: Path) -> None:
    kept.save(tmp_path, KEPT)
    assert kept.load(tmp_path, "c1") == KEPT
    assert stat.S_IMODE((tmp_path / kept.FILE).stat().st_mode) == 0o600
    assert (KEPT.end - KEPT.begin).days == 3


def test_another_node_and_no_directory_are_as_good_as_none(tmp_path: Path) -> None:
    kept.save(tmp_path, KEPT)
    assert kept.load(tmp_path, "c2") is None
    assert kept.load(None, "c1") is None
    kept.save(None, KEPT)
    assert kept.load(tmp_path / "nowhere", "c1") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff\xff", b'{"node": 1}'])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, data: bytes) -> None:
    (tmp_path / kept.FILE).write_bytes(data)
    assert kept.load(tmp_path, "c1") is None
    assert not (tmp_path / kept.FILE).exists()
    assert (tmp_path / "auto-config.damaged").read_bytes() == data


def test_times_that_are_none_are_damage(tmp_path: Path) -> None:
    import msgspec

    kept.save(tmp_path, msgspec.structs.replace(KEPT, valid_before="tomorrow"))
    assert kept.load(tmp_path, "c1") is None
