"""What a person types from the documents works: commands and flags exist, make targets too, examples load."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from meshtest import ROOT

from meshagent.agent.cli.agent import given_flags
from meshagent.agent.cli.config_entries import entry_in
from meshagent.agent.cli.root import TableGroup, root
from meshagent.agent.config import Host, assemble
from meshagent.agent.sockaddr import Interface
from meshagent.catalog.entries.table import check, parse
from meshagent.hcl import parse_hcl, parse_json

TYPED = (
    "README.md",
    "docs/envoy.md",
    "docs/gateways.md",
    "docs/mesh.md",
    "docs/migrating.md",
    "docs/operating.md",
    "docs/peering.md",
    "docs/security.md",
    "docs/status.md",
    "docs/transparent.md",
    "deploy/README.md",
    "nomad-jobs/README.md",
    "meshagent/agent/README.md",
)
PROGRAMS = ("meshagent", ".venv/bin/meshagent", "/usr/local/bin/meshagent")


def command_lines(name: str) -> Iterator[str]:
    """Indented lines and inline code that begin with one of our programs or with make, without comments."""
    text = (ROOT / name).read_text()
    fenced = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", fenced)
    for line in [*re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE), *inline]:
        words = re.split(r"\s#\s|\s[|>]\s|\s&&\s", line.removeprefix("alias consul=").strip())[0].strip()
        if words.split()[0] in (*PROGRAMS, "make") and len(words.split()) > 1:
            yield words


LINES = [(name, line) for name in TYPED for line in dict.fromkeys(command_lines(name))]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[f"{name}: {line}" for name, line in LINES])
def test_the_command_line_is_understood(name: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets or "=" in word for word in words[1:]), f"make knows {targets}"
        return
    if words[1] == "agent":
        given_flags(words[2:])
        return
    context, group, rest = click.Context(root, info_name=words[0]), root, words[1:]
    while isinstance(group, TableGroup):
        assert rest, "a group is no command"
        found = group.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]}"
        context = click.Context(found, info_name=rest[0], parent=context)
        group, rest = found, rest[1:]  # type: ignore[assignment]
    group.make_context(rest[0] if rest else "", list(rest), parent=context.parent)


def test_the_readme_shows_how_to_begin() -> None:
    lines = {line for name, line in LINES if name == "README.md"}
    assert {"make run", "make test", "meshagent agent -dev"} <= lines
    assert len([line for line in lines if line.startswith("meshagent ")]) >= 5
    assert len([line for name, line in LINES if name == "docs/operating.md"]) >= 5


def examples() -> list[tuple[str, str, str]]:
    """(document and number, language, text) of every fenced example of a configuration."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.findall(r"^```(json|hcl)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        found += [(f"{path.relative_to(ROOT)} #{number}", kind, text) for number, (kind, text) in enumerate(blocks, 1)]
    return found


def this_host() -> list[Interface]:
    return [Interface("eth0", "10.0.0.5", 24, default_route=True)]


@pytest.mark.parametrize(("where", "kind", "text"), examples(), ids=[where for where, _, _ in examples()])
def test_the_example_loads(where: str, kind: str, text: str, tmp_path: Path) -> None:
    """As the configuration of an agent, or as `config write` reads an entry."""
    if re.match(r'\s*\{?\s*"?Kind"?\s*[=:]', text):
        path = tmp_path / f"entry.{kind}"
        path.write_text(text)
        check(parse(entry_in(str(path))))
        return
    parsed = (parse_hcl if kind == "hcl" else parse_json)(text, where)
    base = parse_hcl('server = true bootstrap_expect = 1 data_dir = "/d"', "base")
    loaded = assemble([base.root, parsed.root], host=Host("h", this_host), warnings=parsed.warnings)
    telling = [warning for warning in loaded.warnings if "bootstrap" not in warning]
    assert not telling
    assert len(examples()) >= 5


ROOMS = ("agent", "agent/checks", "agent/gossip", "agent/http", "catalog", "catalog/raft", "connect", "dns")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_readme_that_names_no_module_that_is_gone(room: str) -> None:
    folder = ROOT / "meshagent" / room
    text = (folder / "README.md").read_text()
    maps = re.findall(r"^\|(.*?)\|", text, re.MULTILINE)  # the first cells of tables
    for name in (name for cell in maps for name in re.findall(r"`([\w/*]+\.py)`", cell)):
        assert list(folder.glob(name)), f"{name} is gone"


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "agent/http"])  # families are found by name there
def test_a_room_names_all_its_modules(room: str) -> None:
    folder = ROOT / "meshagent" / room
    text = (folder / "README.md").read_text()
    named = [re.escape(name).replace(r"\*", ".*") for name in re.findall(r"[\w*]+\.py", text)]
    missing = [
        path.name
        for path in sorted(folder.glob("*.py"))
        if path.name != "__init__.py" and not any(re.fullmatch(name, path.name) for name in named)
    ]
    assert not missing


def test_examples_of_checks_are_what_the_api_takes() -> None:
    from meshagent.agent.checks.table import CHECK_TYPES
    from meshagent.agent.decode import decode_body
    from meshagent.agent.definitions import CheckDefinition

    for row in CHECK_TYPES.values():
        made = decode_body(CheckDefinition, json.dumps(row.example).encode())
        made.validate()
        assert made.kind == row.kind


def test_every_document_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file() or path.suffix != ".md":
            continue
        seen.add(path)
        links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
        todo += [(path.parent / link).resolve() for link in links if "://" not in link]
    documents = {*(ROOT / "docs").rglob("*.md"), *(ROOT / "meshagent").rglob("README.md")}
    assert documents <= seen, sorted(str(path.relative_to(ROOT)) for path in documents - seen)


def test_the_benchmarks_readme_names_files_that_are_there() -> None:
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "bench" / "README.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / "bench" / name).exists() and not (ROOT / name).exists()] == []
