import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from meshagent.agent.cli.root import root
from meshagent.agent.cli.table import GROUPS, SUBCOMMANDS

# `agent` and `validate` need the configuration, see their own tests.
ROWS = [row for row in SUBCOMMANDS if row.module != "agent"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
def test_each_row_is_a_command_with_help(cli: Any, row: Any) -> None:
    made = getattr(import_module(f"meshagent.agent.cli.{row.module}"), row.attribute)
    assert isinstance(made, click.Command)
    assert made.name == row.path.split()[-1]
    ran = cli(f"{row.path} -help")
    assert ran.status == 0
    assert ran.out.startswith(f"Usage: meshagent {row.path} ")
    assert made.help


@pytest.mark.parametrize("path", sorted(GROUPS))
def test_a_group_alone_shows_its_commands_and_fails(cli: Any, path: str) -> None:
    ran = cli(path)
    assert (ran.status, ran.out) == (1, "")
    assert "Commands:" in ran.err
    assert cli(f"{path} -h").out == ran.err


@pytest.mark.parametrize(("line", "status"), [("", 127), ("zork", 127), ("kv zork", 127), ("-h", 0), ("--help", 0)])
def test_what_is_no_command_shows_help(cli: Any, line: str, status: int) -> None:
    ran = cli(line)
    assert ran.status == status
    assert "Usage: meshagent" in (ran.out if status == 0 else ran.err)


@pytest.mark.parametrize(("line", "meant"), [("memebrs", "members"), ("kv gte a", "kv get")])
def test_the_nearest_command_is_named(cli: Any, line: str, meant: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.out) == (127, "")
    typed = " ".join(line.split()[: len(meant.split())])
    assert ran.err == f"there is no command {typed} (did you mean 'meshagent {meant}'?)\n"


def test_a_bad_flag_is_one_line(cli: Any, stub: Any) -> None:
    ran = cli("kv get -zork x")
    assert ran.status == 1
    assert ran.err == "flag provided but not defined: -zork; meshagent kv get -help says more\n"


def test_an_agent_that_is_not_there_is_one_line_that_says_what_to_do(cli: Any) -> None:
    ran = cli("members -http-addr=127.0.0.1:1")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: nothing answers at 127.0.0.1:1: start an agent (meshagent agent -dev)")
    assert ran.err.count("\n") == 1


def test_version(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # CL4
    monkeypatch.setattr("sys.argv", ["/usr/bin/meshagent"])
    lines = cli("version").out.splitlines()
    assert lines[0].startswith("meshagent v")
    assert lines[1] == "Consul v1.20.1"
    assert json.loads(cli("version -format=json").out)["Version"] == "1.20.1"
    assert cli("version -format=xml").status == 1
    monkeypatch.setattr("sys.argv", ["/usr/bin/consul"])
    assert cli("-version").out.splitlines()[0] == "Consul v1.20.1"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli: Any, shell: str) -> None:
    ran = cli(f"completion {shell}")
    assert ran.status == 0
    assert "_MESHAGENT_COMPLETE" in ran.out
    assert cli("completion zork").status == 1


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [([], "k", {"keygen", "keyring", "kv"}),
     (["kv"], "", {"delete", "export", "get", "history", "import", "put", "rollback"}),
     (["kv", "get"], "-rec", {"-recurse"}), (["kv", "get"], "--k", {"-keys"})],
)  # fmt: skip
def test_completion_knows_commands_and_flags(words: list[str], incomplete: str, found: set[str]) -> None:
    from click.shell_completion import BashComplete

    completed = BashComplete(root, {}, "meshagent", "_MESHAGENT_COMPLETE").get_completions(words, incomplete)
    assert {item.value for item in completed} == found


def test_the_reader_may_go_away() -> None:
    code = "import sys; from meshagent.agent.cli import main; sys.exit(main(['reference', 'http']))"
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (1, b"")


def test_a_command_starts_without_what_it_does_not_need() -> None:
    code = "import sys; from meshagent.agent.cli import main; main(['version']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"aiohttp", "rich", "re2", "msgspec", "cryptography", "ssl", "asyncio", "psutil", "uvloop"}
    assert heavy & set(loaded) == set()


def test_every_module_of_commands_has_a_row() -> None:
    folder = Path(import_module("meshagent.agent.cli").__file__ or "").parent
    support = {
        "__init__",
        "__main__",
        "acl_links",
        "acl_objects",
        "acl_show",
        "admin_client",
        "client",
        "cni_plugin",
        "connection",
        "demo_collector",
        "demo_mesh",
        "demo_service",
        "flags",
        "go_flags",
        "kept_session",
        "migration",
        "nft",
        "traffic",
        "locks",
        "login_oidc",
        "output",
        "aws_credentials",
        "envoy_admin",
        "envoy_places",
        "envoy_process",
        "gateway_flags",
        "gateway_registration",
        "login_aws",
        "proxy_lookup",
        "sigv4",
        "proxy_gate",
        "proxy_process",
        "proxy_registration",
        "root",
        "table",
        "versions",
    }
    assert {path.stem for path in folder.glob("*.py")} - support == {row.module for row in SUBCOMMANDS}
