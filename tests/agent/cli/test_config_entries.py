import io
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "web.hcl").write_text('Kind = "service-defaults"\nname = "web"\nprotocol = "http"\n')
    (tmp_path / "web.json").write_text('{"Kind": "service-defaults", "Name": "web", "Protocol": "grpc"}')
    (tmp_path / "bad.hcl").write_text('Kind = "service-defaults\n')
    (tmp_path / "nameless.hcl").write_text('Kind = "service-defaults"\n')
    (tmp_path / "latin.hcl").write_bytes(b'Kind = "\xff"')
    return tmp_path


def test_write_sends_what_the_file_holds(cli: Any, stub: Any, files: Path) -> None:  # CL17
    stub.answer("config", True, method="PUT")
    ran = cli("config", "write", str(files / "web.hcl"))
    assert (ran.status, ran.out, ran.err) == (0, "Config entry written: service-defaults/web\n", "")
    assert stub.last.json == {"Kind": "service-defaults", "name": "web", "protocol": "http"}
    assert stub.last.query == {}
    cli("config", "write", "-cas", "-modify-index=7", str(files / "web.json"))
    assert stub.last.json["Protocol"] == "grpc"
    assert stub.last.query == {"cas": "7"}


def test_write_reads_standard_input(cli: Any, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer("config", True, method="PUT")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"Kind": "proxy-defaults", "Name": "global"}'))
    assert cli("config write -").out == "Config entry written: proxy-defaults/global\n"


def test_a_write_that_lost_the_race_fails(cli: Any, stub: Any, files: Path) -> None:
    stub.answer("config", False, method="PUT")
    ran = cli("config", "write", "-cas", "-modify-index=7", str(files / "web.hcl"))
    assert (ran.status, ran.err) == (1, "Config entry not updated: service-defaults/web\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.hcl", "failed to read file"),
        ("bad.hcl", "bad.hcl:1:8"),
        ("nameless.hcl", 'has no "Name"'),
        ("latin.hcl", "is not UTF-8 text, at byte 8"),
    ],
)
def test_a_file_that_is_no_entry_is_named_and_nothing_is_sent(
    cli: Any, stub: Any, files: Path, name: str, message: str
) -> None:
    ran = cli("config", "write", str(files / name))
    assert ran.status == 1
    assert message in ran.err
    assert not stub.asked


def test_what_the_agent_refuses_is_told(cli: Any, stub: Any, files: Path) -> None:
    stub.answer("config", b"Bad protocol", method="PUT", status=400)
    ran = cli("config", "write", str(files / "web.hcl"))
    assert ran.err == "Error writing config entry service-defaults/web: Unexpected response code: 400 (Bad protocol)\n"


def test_read_shows_the_entry_indented_by_tabs(cli: Any, stub: Any) -> None:  # CL17
    stub.answer("config/service-defaults/web", {"Kind": "service-defaults", "Name": "web"})
    ran = cli("config read -kind service-defaults -name web")
    assert ran.out == '{\n\t"Kind": "service-defaults",\n\t"Name": "web"\n}\n'


def test_list_shows_names(cli: Any, stub: Any) -> None:  # CL17
    stub.answer("config/service-defaults", [{"Name": "api"}, {"Name": "web"}])
    assert cli("config list -kind service-defaults").out == "api\nweb\n"
    cli("config", "list", "-kind", "service-defaults", "-filter", 'Name == "web"')
    assert stub.last.query == {"filter": 'Name == "web"'}


def test_delete_takes_names_or_a_file(cli: Any, stub: Any, files: Path) -> None:  # CL17
    stub.answer("config/service-defaults/web", {}, method="DELETE")
    assert cli("config delete -kind service-defaults -name web").out == "Config entry deleted: service-defaults/web\n"
    assert cli("config", "delete", "-filename", str(files / "web.hcl")).status == 0
    stub.answer("config/service-defaults/web", False, method="DELETE")
    ran = cli("config delete -kind service-defaults -name web -cas -modify-index 4")
    assert (ran.status, ran.err) == (1, "Config entry not deleted: service-defaults/web\n")
    assert stub.last.query == {"cas": "4"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("config write", "Must provide exactly one positional argument to specify the config entry to write"),
        ("config read -name x", "Must specify the -kind parameter"),
        ("config read -kind x", "Must specify the -name parameter"),
        ("config list", "Must specify the -kind parameter"),
        ("config delete -kind x", "Must specify the -name parameter"),
        ("config delete -kind x -name y -filename z", "filename can't be used with kind or name"),
        ("config delete -kind x -name y -cas", "Must specify a -modify-index greater than 0 with -cas"),
        ("config delete -kind x -name y -modify-index 3", "Cannot specify -modify-index without -cas"),
    ],
)
def test_misuse_is_explained_without_asking_the_agent(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.err) == (1, message + "\n")
    assert not stub.asked
