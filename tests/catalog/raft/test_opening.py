"""A log where its data are: real files, private, one owner; or memory."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from meshtest.logs import History

from meshagent.catalog.raft.disk import FileDisk
from meshagent.catalog.raft.opening import open_raft_log
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import SystemClock
from meshagent.errors import Unavailable


async def test_in_memory_it_forgets_old_entries_and_needs_no_disk() -> None:
    machine = History()
    log = open_raft_log(machine, None, node_id="n", address="a:1", clock=SystemClock(), rng=random.Random(1))
    await log.start()
    for _ in range(40):
        await asyncio.gather(*(log.propose(bytes(1000)) for _ in range(20)))
    assert len(machine.commands) == 800
    assert len(log._journal) < 20
    await log.snapshot()
    await log.stop()


async def test_on_a_real_disk_files_are_private_and_a_second_server_is_refused(tmp_path: Path) -> None:
    machine = History()
    options: dict[str, Any] = {"node_id": "n", "address": "a:1", "clock": SystemClock(), "rng": random.Random(1)}
    log = open_raft_log(machine, tmp_path, **options)
    await log.start()
    await asyncio.gather(*(log.propose(b"%d" % number) for number in range(50)))
    await log.snapshot()
    directory = tmp_path / "raft"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert {path.name for path in directory.iterdir()} == {
        "000000000001.log",
        "snapshot-00000000000000000003-1.snap",
        "vote",
    }
    with pytest.raises(Unavailable, match="in use by another process"):
        open_raft_log(History(), tmp_path, **options)
    await log.stop()
    again = History()
    log = open_raft_log(again, tmp_path, **options)
    await log.start()
    assert again.commands == machine.commands
    await log.stop()


async def test_a_real_full_disk_is_what_the_simulated_one_says(tmp_path: Path) -> None:
    class Full(FileDisk):
        def create(self, name: str) -> Any:
            if name.endswith(".log") and full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().create(name)

    full = False
    log = open_raft_log(
        History(),
        tmp_path,
        node_id="n",
        address="a:1",
        clock=SystemClock(),
        rng=random.Random(1),
        settings=RaftSettings(segment_bytes=256, reserve_bytes=64),
        open_disk=Full,
    )
    await log.start()
    full = True
    with pytest.raises(Unavailable, match="No space left"):
        for _ in range(10):
            await log.propose(bytes(100))
    full = False
    await asyncio.wait_for(_until(lambda: log.is_leader), 10)
    await log.propose(b"x")
    await log.stop()


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.05)
