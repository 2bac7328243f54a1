from pathlib import Path

import pytest

from meshagent.agent.logs_file import LogFile


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_name_carries_the_moment_it_was_opened(tmp_path: Path) -> None:  # G26
    file = LogFile(str(tmp_path / "agent.txt"))
    file.write("one", 1000.5)
    file.write("two", 1001.0)
    file.close()
    assert names(tmp_path) == ["agent-1000500000000.txt"]
    assert Path(file.path).read_text() == "one\ntwo\n"
    assert Path(file.path).stat().st_mode & 0o007 == 0


def test_a_name_without_extension_gets_log(tmp_path: Path) -> None:
    LogFile(str(tmp_path / "agent")).write("x", 1.0)
    assert names(tmp_path) == ["agent-1000000000.log"]


def test_age_and_size_begin_a_new_file(tmp_path: Path) -> None:  # G26
    file = LogFile(f"{tmp_path}/", duration_s=60, max_bytes=10)
    file.write("12345678", 1.0)
    file.write("9", 2.0)
    file.write("next", 3.0)
    file.write("later", 63.0)
    file.close()
    assert [(tmp_path / name).read_text() for name in names(tmp_path)] == ["12345678\n9\n", "next\n", "later\n"]
    assert "consul-63000000000.log" in names(tmp_path)


@pytest.mark.parametrize(("kept", "left"), [(0, 5), (2, 3), (-1, 1)])
def test_old_files_are_removed_beyond_the_limit(tmp_path: Path, kept: int, left: int) -> None:  # G26
    (tmp_path / "other.log").write_text("not ours")
    file = LogFile(str(tmp_path / "a.log"), max_bytes=1, max_files=kept)
    for second in range(1, 6):
        file.write("x", float(second))
    file.close()
    assert len(names(tmp_path)) == left + 1
    assert "a-5000000000.log" in names(tmp_path)


def test_a_disk_that_refuses_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = LogFile(str(tmp_path / "missing" / "a.log"))
    file.write("one", 1.0)
    file.write("two", 2.0)
    (tmp_path / "missing").mkdir()
    file.write("three", 3.0)
    assert capsys.readouterr().err.count("cannot write the log file") == 1
    assert (tmp_path / "missing" / "a-3000000000.log").read_text() == "three\n"
