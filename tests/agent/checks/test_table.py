"""The table names every type once, with what a reader and a generator of references need."""

from importlib import import_module
from pathlib import Path

import pytest

from meshagent.agent import checks
from meshagent.agent.checks.schedule import Lane
from meshagent.agent.checks.table import CHECK_TYPES

#: `Type` in the catalog (surface row O4), less the two that are no checks of an agent: maintenance and "".
KINDS = {"ttl", "http", "tcp", "udp", "script", "docker", "grpc", "h2ping", "os_service", "alias"}


def test_all_kinds_are_there():
    assert set(CHECK_TYPES) == KINDS


@pytest.mark.parametrize("row", CHECK_TYPES.values(), ids=lambda row: row.kind)
def test_a_row_is_complete(row):
    assert row.help
    assert "Name" in row.example
    assert ("Interval" in row.example) == (row.prepare is not None)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_has_a_module_and_a_test(kind):
    assert (Path(checks.__file__).parent / f"{kind}.py").exists()
    assert (Path(__file__).parent / f"test_{kind}.py").exists()


@pytest.mark.parametrize("row", [row for row in CHECK_TYPES.values() if row.prepare], ids=lambda row: row.kind)
def test_what_prepares_a_probe_is_there(row):
    """It is imported with the first check of its kind."""
    module = import_module(f"meshagent.agent.checks.{row.kind}")
    with pytest.raises(Exception) as late:
        row.prepare(None, None)
    with pytest.raises(type(late.value)):
        module.prepare(None, None)


def test_what_starts_a_program_is_in_the_lane_of_programs():
    assert {row.kind for row in CHECK_TYPES.values() if row.lane is Lane.PROCESS} == {"script", "docker"}


@pytest.mark.parametrize("heavy", ["aiohttp", "h2", "dbus_fast", "google", "grpc"])
def test_heavy_libraries_are_not_imported_with_the_table(heavy):
    """An agent must start fast and stay small: they come with the first check that needs them."""
    import subprocess
    import sys

    code = f"import sys; import meshagent.agent.checks.scheduler; assert {heavy!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
