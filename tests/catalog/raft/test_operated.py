"""What people do with a log, on a server that is alone; with several: `test_membership.py`, `test_restorer.py`."""

from __future__ import annotations

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import SMALL, History, open_on

from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import VirtualClock
from meshagent.errors import Conflict, NoLeader, Unavailable


async def test_the_snapshot_settings_can_be_reloaded() -> None:
    # G4: raft_snapshot_threshold, raft_snapshot_interval and raft_trailing_logs need no restart.
    disk, clock = SimDisk(), VirtualClock()
    log = await _started(disk, clock=clock, settings=RaftSettings(snapshot_threshold=1000, snapshot_interval_s=5))
    for number in range(20):
        await log.propose(b"%d" % number)
    await clock.advance(30)
    assert not [name for name in disk if name.startswith("snapshot-")]
    log.reload(RaftSettings(snapshot_threshold=10, snapshot_interval_s=5))
    await clock.advance(30)
    assert [name for name in disk if name.startswith("snapshot-")]
    await log.stop()


async def test_before_the_start_everything_is_refused() -> None:
    log = open_on(SimDisk(), History())
    with pytest.raises(Unavailable):
        await log.bootstrap({"node-1": "127.0.0.1:8300"})
    with pytest.raises(NoLeader):
        await log.add_server("n2", "127.0.0.1:1")
    with pytest.raises(NoLeader):
        await log.remove_server("n2")
    with pytest.raises(NoLeader):
        log.transfer_leadership()
    with pytest.raises(NoLeader):
        await log.restore_snapshot([b"x"])
    await log.stop()


async def test_what_was_saved_is_put_back() -> None:
    machine = History()
    log = await _started(SimDisk(), machine=machine)
    for command in (b"a", b"b"):
        await log.propose(command)
    snapshot, chunks = log.save_snapshot()
    saved = list(chunks)
    assert (snapshot.index, saved) == (log.applied_index, [b"a", b"b"])
    await log.propose(b"c")
    await log.restore_snapshot(saved)
    assert machine.commands == [b"a", b"b"]
    with pytest.raises(Conflict, match="is not another one that votes"):
        log.transfer_leadership()
    await log.stop()


async def _started(
    disk: SimDisk,
    *,
    machine: History | None = None,
    clock: VirtualClock | None = None,
    settings: RaftSettings | None = None,
) -> RaftLog:
    log = open_on(disk, machine or History(), settings=settings or SMALL, clock=clock)
    await log.start()
    return log
