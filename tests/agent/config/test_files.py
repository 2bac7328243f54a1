from __future__ import annotations

from pathlib import Path

from meshagent.agent.config.files import read_paths, this_host


def test_a_directory_gives_its_files_in_order_of_name(tmp_path: Path) -> None:
    """G1."""
    (tmp_path / "b.json").write_text('{"datacenter": "b"}')
    (tmp_path / "a.hcl").write_text('datacenter = "a"')
    (tmp_path / "README").write_text("not one")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.hcl").write_text("not read")
    texts, problems, warnings = read_paths([str(tmp_path)])
    assert [text.root["datacenter"] for text in texts] == ["a", "b"]
    assert problems == []
    assert warnings == [
        f"skipping file {tmp_path}/README, extension must be .hcl or .json, or config format must be set"
    ]


def test_a_format_makes_any_name_count(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("a = 1")
    assert [text.root for text in read_paths([str(file)], "hcl")[0]] == [{"a": 1}]
    assert "must be one of hcl, json, not 'yaml'" in read_paths([str(file)], "yaml")[1][0]


def test_every_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.hcl").write_bytes(b'a = "\xff"')
    (tmp_path / "b.json").write_text("{")
    missing = tmp_path / "gone.hcl"
    _, problems, _ = read_paths([str(tmp_path), str(missing)])
    assert problems == [
        f"{tmp_path}/a.hcl: not UTF-8 text, at byte 5",
        f"{tmp_path}/b.json:1:2: expected a key in double quotes, found the end of the file",
        f"config: cannot read {missing}: No such file or directory",
    ]


def test_this_host_has_a_name_and_addresses() -> None:
    host = this_host()
    assert host.name
    assert host.interfaces()


def test_a_path_that_is_not_there_is_a_problem_whatever_its_name(tmp_path):
    texts, problems, warnings = read_paths([str(tmp_path / "gone"), str(tmp_path / "gone.json")])
    assert texts == []
    assert warnings == []
    assert [problem.rpartition(": ")[2] for problem in problems] == ["No such file or directory"] * 2


def test_this_host_knows_what_folders_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lacks = this_host().lacks_folder
    assert [lacks(str(tmp_path / name)) for name in ("", "gone", "file", "file/below")] == [False, True, True, True]
