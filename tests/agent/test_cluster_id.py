"""The id of the cluster, in the log and in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshagent.agent.cluster_id import FILE, ClusterId
from meshagent.catalog.commands import ClusterInit
from meshagent.catalog.store import Store
from meshagent.clock import Tasks
from meshagent.errors import ConfigError

ONE, TWO = "99a18ee8-bdba-4802-ae57-7c234ae3648b", "11111111-bdba-4802-ae57-7c234ae3648b"


async def settled(tasks: Tasks) -> None:
    import asyncio

    await asyncio.gather(*list(tasks._tasks))


async def test_it_follows_the_log_and_is_known_after_a_restart(tmp_path: Path) -> None:
    store, tasks, heard = Store(), Tasks(), list[str]()
    followed = ClusterId(store, tmp_path, tasks, heard.append)
    assert (followed.value, heard) == ("", [])
    assert store.execute(ClusterInit(ONE)) == ONE
    store.flush()
    assert (followed.value, heard) == (ONE, [ONE])
    assert store.execute(ClusterInit(TWO)) == ONE  # the first one stays
    store.flush()
    assert heard == [ONE]
    await settled(tasks)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert ClusterId(Store(), tmp_path, tasks, heard.append).value == ONE


async def test_a_restored_state_brings_its_id(tmp_path: Path) -> None:
    source, store, tasks, heard = Store(), Store(), Tasks(), list[str]()
    source.execute(ClusterInit(ONE))
    ClusterId(store, None, tasks, heard.append)
    store.restore(source.snapshot())
    assert (store.cluster_id, heard) == (ONE, [ONE])


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="not a cluster id; remove it"):
        ClusterId(Store(), tmp_path, Tasks(), print)
    (tmp_path / FILE).write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=FILE):
        ClusterId(Store(), tmp_path, Tasks(), print)
