"""Surface row G6: what was registered over the API is there again after a restart, whatever happened to the files."""

import os
import stat
from datetime import UTC, datetime

import pytest

from meshagent.agent import persist, saved
from meshagent.agent.definitions import CheckDefinition, ConnectDefinition, ServiceCheck, ServiceDefinition
from meshagent.agent.local import LocalSettings, LocalState
from meshagent.agent.maintenance import node_maintenance, service_maintenance
from meshagent.catalog.model import Weights
from meshagent.clock import Tasks, VirtualClock
from meshagent.errors import ConfigError, InternalError

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def make_local(**settings):
    return LocalState(node_name="n1", datacenter="dc1", clock=VirtualClock(), settings=LocalSettings(**settings))


@pytest.fixture
async def saving(tmp_path):
    tasks, local = Tasks(), make_local()
    yield local, persist.Saver(tmp_path, local, tasks), tmp_path
    await tasks.cancel()


def contents(local):
    services = {key: (entry.service, entry.token, entry.sidecar_of) for key, entry in local.services.items()}
    checks = {key: (entry.check, entry.definition, entry.token) for key, entry in local.checks.items()}
    return services, checks


async def test_what_is_registered_over_the_api_survives_a_restart(saving):
    local, saver, path = saving
    local.add_service(
        ServiceDefinition(
            name="web",
            port=80,
            address="10.0.0.1",
            weights=Weights(passing=7, warning=1),
            tags=("a",),
            meta={"k": "v"},
            connect=ConnectDefinition(sidecar_service=ServiceDefinition()),
            check=ServiceCheck(http="http://x", interval=10.0, header={"a": ("b",)}, timeout=0.5),
        ),
        token="secret",
    )
    local.add_service(ServiceDefinition(name="from-file", check=ServiceCheck(ttl=1.0)), source="config")
    local.add_check(CheckDefinition(name="disk", ttl=30.0, status="passing"))
    service_maintenance(local, "web", enable=True, reason="disk")
    node_maintenance(local, enable=True)
    await saver.flush()
    again = make_local()
    assert saved.restore(again, persist.load(path), NOW) == []
    local.remove_service("from-file")
    assert contents(again) == contents(local)
    again.remove_service("web")
    assert list(again.services) == []


async def test_files_are_private_and_nothing_is_left_beside_them(saving):
    local, saver, path = saving
    local.add_service(ServiceDefinition(name="web", check=ServiceCheck(ttl=1.0)), token="secret")
    await saver.flush()
    files = [file for file in path.rglob("*") if file.is_file()]
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_deregistering_removes_the_files(saving):
    local, saver, path = saving
    local.add_service(ServiceDefinition(name="web", check=ServiceCheck(ttl=10.0)))
    saver.save_state("service:web", "passing", "ok", NOW.timestamp() + 10)
    await saver.flush()
    assert len(list(path.rglob("*"))) == 6
    local.remove_service("web")
    await saver.flush()
    assert [file for file in path.rglob("*") if file.is_file()] == []


async def test_a_configuration_file_wins_over_what_was_saved(saving):
    local, saver, path = saving
    local.add_service(ServiceDefinition(name="web", port=1, check=ServiceCheck(ttl=10.0)))
    await saver.flush()
    tasks, again = Tasks(), make_local()
    later = persist.Saver(path, again, tasks)
    again.add_service(ServiceDefinition(name="web", port=2), source="config")
    assert later.restore(persist.load(path), NOW) == []
    assert again.services["web"].service.port == 2
    await later.flush()
    assert persist.load(path).services == ()
    assert [one.check.check_id for one in persist.load(path).checks] == ["service:web"]
    await tasks.cancel()


async def test_k14_the_last_word_of_a_ttl_check_counts_while_it_is_young(saving):
    local, saver, path = saving
    local.add_check(CheckDefinition(name="young", ttl=30.0))
    local.add_check(CheckDefinition(name="old", ttl=30.0))
    saver.save_state("young", "passing", "fine", NOW.timestamp() + 1)
    saver.save_state("old", "passing", "fine", NOW.timestamp())
    await saver.flush()
    again = make_local()
    saved.restore(again, persist.load(path), NOW)
    states = {key: (entry.check.status, entry.check.output) for key, entry in again.checks.items()}
    assert states == {"young": ("passing", "fine"), "old": ("critical", "")}


async def test_checks_that_may_not_run_any_more_or_have_lost_their_service_are_reported(saving):
    local, saver, path = saving
    local.settings = LocalSettings(enable_script_checks=True)
    local.add_check(CheckDefinition(name="sh", args=("true",), interval=1.0))
    local.add_service(ServiceDefinition(name="web", check=ServiceCheck(ttl=1.0)))
    await saver.flush()
    for file in (path / "services").iterdir():
        file.unlink()
    problems = saved.restore(make_local(), persist.load(path), NOW)
    assert sorted(problem.partition(":")[0] for problem in problems) == [
        "check 'service",
        "check 'sh' was not restored",
    ]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"Service": 1}', b'{"Service": {"ID": 5}}', b'{"Service":{}}', b"\xff"]
)
async def test_a_damaged_file_is_reported_and_moved_aside(saving, data):
    local, saver, path = saving
    local.add_service(ServiceDefinition(name="good"))
    await saver.flush()
    bad = path / "services" / ("0" * 64)
    bad.write_bytes(data)
    (path / "services" / "half.tmp").write_bytes(b"{")
    loaded = persist.load(path)
    assert [one.service.id for one in loaded.services] == ["good"]
    assert len(loaded.problems) == 1
    assert str(bad) in loaded.problems[0]
    assert sorted(file.suffix for file in (path / "services").iterdir()) == ["", ".damaged"]
    assert persist.load(path).problems == ()


async def test_a_full_disk_is_told_and_made_good_later(saving, monkeypatch):
    local, saver, path = saving
    real = persist.write_files

    def full(files):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(persist, "write_files", full)
    local.add_service(ServiceDefinition(name="a"))
    with pytest.raises(InternalError, match="No space left on device"):
        await saver.flush()
    monkeypatch.setattr(persist, "write_files", real)
    local.add_service(ServiceDefinition(name="b"))
    await saver.flush()
    assert {one.service.id for one in persist.load(path).services} == {"a", "b"}


async def test_flushing_without_changes_is_nothing(saving):
    _, saver, path = saving
    await saver.flush()
    assert list(path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "x"
    persist.write_files({target: b"old"})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O error")))
    with pytest.raises(OSError):
        persist.write_files({target: b"new"})
    assert target.read_bytes() == b"old"


# --- node id ---------------------------------------------------------------------------------------------------------

ID = "11111111-2222-3333-4444-555555555555"


def test_the_node_id_is_made_once(tmp_path):
    first = persist.load_node_id(tmp_path / "data")
    assert persist.load_node_id(tmp_path / "data") == first
    assert stat.S_IMODE((tmp_path / "data" / "node-id").stat().st_mode) == 0o600


def test_a_configured_node_id_wins_and_is_kept(tmp_path):
    persist.load_node_id(tmp_path)
    assert persist.load_node_id(tmp_path, ID.upper()) == ID
    assert persist.load_node_id(tmp_path) == ID
    with pytest.raises(ConfigError, match="not a UUID"):
        persist.load_node_id(tmp_path, "zz")


def test_a_node_id_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "node-id").write_text("garbage")
    with pytest.raises(ConfigError, match="node-id holds 'garbage'"):
        persist.load_node_id(tmp_path)


def test_without_a_data_directory_nothing_is_kept(tmp_path):
    assert persist.load_node_id(None, make=lambda: ID) == ID
