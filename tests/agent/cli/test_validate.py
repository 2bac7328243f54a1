from pathlib import Path
from typing import Any

GOOD = 'server = true\nbootstrap_expect = 1\ndata_dir = "/tmp/x"\nbind_addr = "127.0.0.1"\n'


def test_a_good_configuration(cli: Any, tmp_path: Path) -> None:  # CL4
    (tmp_path / "a.hcl").write_text(GOOD)
    ran = cli(f"validate {tmp_path}")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("Configuration is valid!\n")
    assert cli(f"validate -quiet {tmp_path}/a.hcl").out == ""


def test_a_bad_one_is_refused_with_its_place(cli: Any, tmp_path: Path) -> None:  # CL4, G2
    (tmp_path / "a.hcl").write_text(GOOD + "zork = 1\n")
    ran = cli(f"validate {tmp_path}/a.hcl")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Config validation failed: ")
    assert "zork" in ran.err
    assert "a.hcl:5" in ran.err


def test_the_format_can_be_given(cli: Any, tmp_path: Path) -> None:  # CL4
    (tmp_path / "a.conf").write_text(GOOD)
    assert cli(f"validate -config-format=hcl {tmp_path}/a.conf").status == 0


def test_something_must_be_named(cli: Any) -> None:
    ran = cli("validate")
    assert (ran.status, ran.err) == (1, "Must specify at least one config file or directory\n")


def test_a_refusal_is_told_with_the_warnings(cli: Any, tmp_path: Path) -> None:  # CL4
    (tmp_path / "a.bak").write_text(GOOD)
    ran = cli(f"validate {tmp_path}/a.bak")
    assert ran.status == 1
    assert "data_dir cannot be empty" in ran.err
    assert f"\nwarning: skipping file {tmp_path}/a.bak, extension must be .hcl or .json" in ran.err


def test_the_folder_of_the_log_file_is_looked_for(cli: Any, tmp_path: Path) -> None:  # G26
    (tmp_path / "a.hcl").write_text(GOOD + f'log_file = "{tmp_path}/gone/agent.log"\n')
    ran = cli(f"validate {tmp_path}/a.hcl")
    assert ran.status == 1
    assert f"a.hcl:5:1: log_file: there is no folder {tmp_path}/gone; make it" in ran.err
