"""The house rules that no eye keeps: docstrings, edges, sizes, test files, tables, doors, tracked text."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from meshtest import ROOT

from meshagent.agent.cli.table import SUBCOMMANDS

PACKAGE = ROOT / "meshagent"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
EXEMPTIONS: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "exemptions.toml").read_text())
CRYPTOGRAPHY_DOORS = {
    f"meshagent/connect/{name}.py" for name in ("certs", "agent_certs", "intermediates", "proxy/layers/openssl")
}
EDGE_IMPORTS = {"asyncio", "socket", "subprocess", "threading", "ssl"}
LONG = 400

each_module = pytest.mark.parametrize("module", MODULES, ids=str)


@functools.cache
def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


def docstring(module: Path) -> str:
    return ast.get_docstring(tree(module)) or ""


def imports(module: Path) -> set[str]:
    """Top names of what a module imports when it runs; imports under TYPE_CHECKING are for the type checker."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree(module))
    return found


@each_module
def test_it_says_what_it_is(module: Path) -> None:
    text = docstring(module)
    if not tree(module).body and module.name == "__init__.py":
        return
    first = text.split("\n")[0]
    assert len(first) > 15, "the docstring's first line says what the module is"
    assert first.rstrip().endswith((".", ":", ";")) or "\n" in text, first


@each_module
def test_modules_that_do_io_say_so(module: Path) -> None:
    edge = docstring(module).startswith("I/O edge:")
    used = imports(module) & EDGE_IMPORTS
    excused = EXEMPTIONS["edges"].get(str(module))
    if used and not edge:
        assert excused, f"imports {sorted(used)}: begin the docstring with 'I/O edge:' or keep I/O out"
    else:
        assert not excused, "take it off the list in exemptions.toml"


@each_module
def test_one_concept_a_module(module: Path) -> None:
    lines = (ROOT / module).read_text().count("\n")
    excused = EXEMPTIONS["long"].get(str(module))
    if lines > LONG:
        assert excused, f"{lines} lines: split it, or say in exemptions.toml why it is one thing"
    else:
        assert not excused, f"{lines} lines only: take it off the list in exemptions.toml"


@each_module
def test_it_is_not_a_drawer(module: Path) -> None:
    assert module.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "base"}


@each_module
def test_it_has_its_test_file(module: Path) -> None:
    """meshagent/<room>/x.py <-> tests/<room>/test_x.py (or test_x_*.py)."""
    excused = EXEMPTIONS["untested"].get(str(module))
    folder = ROOT / "tests" / module.parent.relative_to("meshagent")
    stem = module.parent.name if module.stem == "__init__" else module.stem
    mirrored = [*folder.glob(f"test_{stem}.py"), *folder.glob(f"test_{stem}_*.py")]
    if module.parent == Path("meshagent"):
        mirrored += [path for path in folder.glob("test_vocabulary.py") if f"meshagent.{stem}" in path.read_text()]
    only_words = not any(
        isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in tree(module).body
    )
    if mirrored or (module.stem == "__init__" and only_words):
        assert not excused, "take it off the list in exemptions.toml"
    else:
        assert excused, f"no tests/{module.parent.relative_to('meshagent')}/test_{stem}.py"
        assert (ROOT / excused.split()[0]).exists(), f"exemptions.toml: {excused.split()[0]} does not exist"


def test_exemptions_name_modules_that_exist() -> None:
    for rule, rows in EXEMPTIONS.items():
        for module, reason in rows.items():
            assert (ROOT / module).exists(), f"{rule}: {module} is gone"
            assert len(reason) > 10, f"{rule}: {module} needs a reason"


class TestTables:
    """Rule 11: adding a thing is one module and one row; a module without a row is found here."""

    def test_every_check_type_has_a_row(self) -> None:
        table = PACKAGE / "agent" / "checks" / "table.py"
        text = table.read_text()
        probes = {
            path.stem
            for path in (PACKAGE / "agent" / "checks").glob("*.py")
            if re.search(r"^def prepare\(", path.read_text(), re.MULTILINE)
        }
        assert probes
        missing = {name for name in probes if f'_late("{name}"),' not in text}
        assert not missing, f"no row in CHECK_TYPES for {sorted(missing)}"

    def test_every_endpoint_family_is_joined(self) -> None:
        from meshagent.agent.http import routes

        families = {
            path.stem
            for path in (PACKAGE / "agent" / "http").glob("*.py")
            if re.search(r"^ROUTES\b", path.read_text(), re.MULTILINE)
        }
        assert families
        joined = routes.load_routes()
        assert len(joined) > 50
        names = {str(name).rsplit(".", 1)[-1] for name in routes.families()}
        assert families <= names, f"not joined: {sorted(families - names)}"

    def test_command_numbers_are_unique(self) -> None:
        from meshagent.catalog import commands

        tags = [kind.__struct_config__.tag for kind in commands.Command.__args__]
        assert len(tags) > 5
        assert len(tags) == len(set(tags))


class TestDoors:
    """One library, one door."""

    @pytest.mark.parametrize(
        ("library", "allowed"),
        [
            ("dnslib", "meshagent/dns/wire.py"),
            ("pysyncobj", "meshagent/catalog/raft/"),
            ("httptools", "meshagent/agent/"),
            ("ngh2", "meshagent/connect/proxy/http2/"),
            ("click", "meshagent/agent/cli"),
            ("dns", "nowhere"),
            ("requests", "nowhere"),
            ("jwt", "meshagent/catalog/acl/jwt_tokens.py"),
            ("pickle", "nowhere"),
        ],
    )
    def test_only_there(self, library: str, allowed: str) -> None:
        users = [str(module) for module in MODULES if library in imports(module)]
        assert all(user.startswith(allowed) for user in users), users

    def test_heavy_libraries_are_not_imported_at_module_level(self) -> None:
        """A -dev agent answers within 0.7 s and idles at 60 MB: these are imported where they are used."""
        heavy = {"rich", "re2", "h2", "cryptography", "dbus_fast", "psutil", "grpc", "yaml"}
        for module in MODULES:
            top = {
                name.name.split(".")[0]
                for node in tree(module).body
                if isinstance(node, ast.Import)
                for name in node.names
            } | {
                node.module.split(".")[0]
                for node in tree(module).body
                if isinstance(node, ast.ImportFrom) and node.module and not node.level
            }
            lazily = {"rich", "cryptography"} if "/cli" in str(module) else set()
            if str(module) in CRYPTOGRAPHY_DOORS:
                lazily = {"cryptography"}  # the doors: they are imported where they are used
            assert not (top & heavy - lazily), f"{module} imports {sorted(top & heavy)} at its top"

    @pytest.mark.parametrize("role", ["server_role", "client"])
    def test_an_agent_that_is_asked_nothing_has_not_loaded_them(self, role: str) -> None:
        heavy = ("h2", "google.protobuf", "envoy", "cryptography", "jwt", "re2", "rich", "psutil", "dbus_fast")
        code = (
            f"import sys; import meshagent.agent.daemon, meshagent.agent.{role};"
            f"print([name for name in {heavy} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestTrackedText:
    @functools.cached_property
    def files(self) -> list[Path]:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        names = [Path(name) for name in listed.split("\0") if name]
        return [name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]

    def texts(self) -> Any:
        for name in self.files:
            if name.parts[:2] != ("tests", "data") and name != Path("tests/meta/test_house_rules.py"):
                try:
                    yield name, (ROOT / name).read_text()
                except UnicodeDecodeError:
                    continue

    def test_no_machine_paths(self) -> None:
        places = re.compile(r"(?<![\w.<{])/(?:work|root)/\w|/home/\w|/Users/\w")
        found = [(str(name), match[0]) for name, text in self.texts() for match in [places.search(text)] if match]
        assert not found

    def test_no_registry_hosts(self) -> None:
        hosts = re.compile(
            r"--(?:extra-)?index-url\s+\S|https?://[\w.-]*(?:artifactory|nexus|jfrog|pypi)[\w.-]*/", re.IGNORECASE
        )
        found = [(str(name), match[0]) for name, text in self.texts() for match in [hosts.search(text)] if match]
        assert not found

    def test_lock_files_carry_hashes(self) -> None:
        for lock in ("requirements.lock", "requirements-dev.lock", "tests/interop/python-consul2.lock"):
            text = (ROOT / lock).read_text().replace("\\\n", " ")
            pins = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
            assert pins
            assert all("--hash=sha256:" in line for line in pins), lock

    def test_to_do_marks_carry_a_number(self) -> None:
        mark = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\(?#\d)")
        found = [str(name) for name, text in self.texts() if name.suffix == ".py" and mark.search(text)]
        assert not found


class TestReadme:
    text = (ROOT / "README.md").read_text()

    def test_its_make_targets_exist(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        targets = re.findall(r"\bmake (\w+)", self.text)
        assert {"run", "test"} <= set(targets)
        for target in targets:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

    @pytest.mark.parametrize(
        "readme",
        [
            path
            for path in sorted(ROOT.rglob("*.md"))
            if not {".venv", "data", ".git"} & set(path.relative_to(ROOT).parts)
        ],
        ids=lambda path: str(path.relative_to(ROOT)),
    )
    def test_links_lead_somewhere(self, readme: Path) -> None:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", readme.read_text()):
            if "://" not in target:
                assert (readme.parent / target).exists(), f"{readme.relative_to(ROOT)} links to {target}"

    def test_its_commands_exist(self) -> None:
        """Every `meshagent <command>` of the README is a command of the program."""
        named = set(re.findall(r"^ {4}meshagent ([a-z]+)", self.text, re.MULTILINE))
        assert named
        known = {row.path.split()[0] for row in SUBCOMMANDS}
        assert named <= known, f"unknown: {sorted(named - known)}"

    def test_the_rooms_are_linked_at_the_top(self) -> None:
        for room in ("agent", "catalog", "connect", "dns"):
            link = ROOT / room
            assert link.is_symlink()
            assert link.resolve() == (PACKAGE / room).resolve()
