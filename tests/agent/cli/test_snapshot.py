"""`snapshot save|restore|inspect|decode` (CL13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from meshtest.archives import archive

from meshagent.agent.cli.snapshot import human


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "backup.snap"
    path.write_bytes(archive())
    return path


def test_a_snapshot_is_saved_and_verified(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("snapshot", archive())
    path = tmp_path / "new.snap"
    ran = cli("snapshot", "save", str(path))
    assert (ran.status, ran.out) == (0, "Saved and verified snapshot to index 0\n")
    assert path.read_bytes() == archive()
    assert path.stat().st_mode & 0o777 == 0o600
    assert cli("snapshot", "save", "-stale", str(path)).status == 0
    assert stub.last.query == {"stale": ""}
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_one_does_not_replace_the_old(cli: Any, stub: Any, file: Path) -> None:
    stub.answer("snapshot", archive()[:-9])
    ran = cli("snapshot", "save", str(file))
    assert ran.status == 1
    assert ran.err == "Error verifying snapshot file: failed to decompress snapshot: unexpected EOF\n"
    assert file.read_bytes() == archive()
    assert list(file.parent.iterdir()) == [file]


def test_one_that_breaks_off_is_not_kept(cli: Any, stub: Any, file: Path) -> None:
    stub.answer("snapshot", archive())
    stub.cut = 20
    ran = cli("snapshot", "save", str(file))
    assert (ran.status, ran.err) == (
        1, f"Error saving snapshot: the answer of {stub.address} broke off: its log says why\n",
    )  # fmt: skip
    assert file.read_bytes() == archive()
    assert list(file.parent.iterdir()) == [file]


def test_what_went_wrong_is_told(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("snapshot", b"No cluster leader", status=500)
    ran = cli("snapshot", "save", str(tmp_path / "a"))
    assert ran.err == "Error saving snapshot: Unexpected response code: 500 (No cluster leader)\n"
    assert not list(tmp_path.iterdir())
    ran = cli("snapshot", "save", str(tmp_path / "no" / "a"))
    assert ran.err.startswith("Error creating snapshot file: ")
    assert cli("snapshot save").err == "Missing FILE argument\n"
    assert cli("snapshot save a b").err == "Too many arguments (expected 1, got 2)\n"


def test_the_name_can_say_where_it_is_from(cli: Any, stub: Any, tmp_path: Path) -> None:
    stub.answer("snapshot", archive())
    stub.answer("agent/self", {
        "Config": {"Version": "1.20.1", "Datacenter": "dc1", "NodeName": "n1"}, "Stats": {"consul": {"leader": "true"}},
    })  # fmt: skip
    assert cli("snapshot", "save", "-append-filename=node,version,status,dc", str(tmp_path / "b.snap")).status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b-1.20.1-dc1-n1-leader.snap"]
    ran = cli("snapshot", "save", "-append-filename=moon", str(tmp_path / "b.snap"))
    assert (ran.status, "version,dc,node,status" in ran.err) == (1, True)


def test_a_snapshot_is_restored(cli: Any, stub: Any, file: Path) -> None:
    stub.answer("snapshot", b"", method="PUT")
    ran = cli("snapshot", "restore", str(file))
    assert (ran.status, ran.out) == (0, "Restored snapshot\n")
    assert stub.last.body == archive()


def test_a_restore_that_is_refused_says_why(cli: Any, stub: Any, file: Path) -> None:
    stub.answer("snapshot", b"failed to decompress snapshot: EOF", method="PUT", status=500)
    ran = cli("snapshot", "restore", str(file))
    assert (ran.status, ran.out) == (1, "")
    assert "Error restoring snapshot: Unexpected response code: 500 (failed to decompress snapshot: EOF)" in ran.err
    assert cli("snapshot", "restore", f"{file}x").err == f"Error opening snapshot file: {file}x: " \
        "No such file or directory\n"  # fmt: skip


def test_what_is_in_it(cli: Any, file: Path) -> None:
    ran = cli("snapshot", "inspect", str(file))
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == " ID           2-6-1704067200000"
    assert lines[2:5] == [" Index        6", " Term         2", " Version      1"]
    assert lines[6] == " Type                Count      Size"
    assert lines[7] == " ----                ----       ----"
    assert lines[8].startswith(" KVS                 4          1.4KB")
    assert lines[-1].split()[0] == "Total"
    assert {line.split()[0] for line in lines[8:-2]} == {"KVS", "Register", "Index", "SystemMetadata"}


def test_which_keys_take_the_room(cli: Any, file: Path) -> None:
    ran = cli("snapshot", "inspect", "-kvdetails", str(file))
    table = ran.out[ran.out.index(" Key Name") :].splitlines()
    assert [line.split()[:2] for line in table[2:-2]] == [["app/db", "2"], ["app/log", "1"], ["z", "1"]]
    ran = cli("snapshot", "inspect", "-kvdetails", "-kvdepth=1", "-kvfilter=app", str(file))
    table = ran.out[ran.out.index(" Key Name") :].splitlines()
    assert [line.split()[:2] for line in table[2:-2]] == [["app", "3"]]


def test_the_same_as_json(cli: Any, file: Path) -> None:
    shown = json.loads(cli("snapshot", "inspect", "-format=json", "-kvdetails", str(file)).out)
    assert shown["Meta"]["Index"] == 6
    assert shown["Stats"][0]["Name"] == "KVS"
    assert shown["TotalSize"] == sum(row["Sum"] for row in shown["Stats"])
    assert shown["TotalSizeKV"] == sum(row["Sum"] for row in shown["StatsKV"])
    assert "StatsKV" not in json.loads(cli("snapshot", "inspect", "-format=json", str(file)).out)


def test_what_cannot_be_inspected(cli: Any, file: Path) -> None:
    file.write_bytes(b"not an archive")
    for name in ("inspect", "decode"):
        ran = cli("snapshot", name, str(file))
        assert (ran.status, ran.err) == (
            1, "Error reading snapshot: failed to decompress snapshot: gzip: invalid header\n",
        )  # fmt: skip
    assert cli("snapshot", "inspect", f"{file}x").status == 1
    assert "pretty or json" in cli("snapshot", "inspect", "-format=yaml", str(file)).err
    assert cli("snapshot", "inspect", "-kvdetails", "-kvdepth=0", str(file)).status == 1


def test_rows_can_be_printed(cli: Any, file: Path) -> None:
    rows = [json.loads(line) for line in cli("snapshot", "decode", str(file)).out.splitlines()]
    keys = [row["Data"]["Key"] for row in rows if row["Type"] == "kv"]
    assert keys == ["app/db/url", "app/db/user", "app/log", "z"]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (344, "344B"), (1024, "1KB"), (1741, "1.7KB"), (5 << 20, "5MB"), (3 << 40, "3TB")]
)
def test_sizes_are_written_as_consul_does(size: int, text: str) -> None:
    assert human(size) == text
