"""The log of one server: what proposers see, what reaches the disk when, what happens when the disk fails."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import SMALL, HeldWorker, History, open_on, turns
from meshtest.sim.cluster import Cluster
from meshtest.sim.loop import run_sim

from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.raft.segments import SegmentLog
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import VirtualClock
from meshagent.errors import Conflict, CorruptData, InternalError, NoLeader, Unavailable

BIG = RaftSettings()


async def started(disk: SimDisk, machine: Any = None, **options: Any) -> RaftLog:
    log = open_on(disk, machine or History(), **options)
    await log.start()
    return log


async def held(disk: SimDisk, machine: History) -> tuple[RaftLog, HeldWorker]:
    """A started log whose disk works only when told to."""
    worker = HeldWorker()
    log = open_on(disk, machine, worker=worker, settings=BIG)
    start = asyncio.ensure_future(log.start())
    while not start.done():
        await turns()
        if worker.jobs:
            worker.step()
    await start
    return log, worker


async def test_a_server_alone_leads_when_started_and_answers_with_what_apply_returned() -> None:
    log = await started(SimDisk())
    assert log.is_leader
    assert log.leader == "127.0.0.1:8300"
    assert log.last_contact_ms == 0
    await log.barrier()
    assert await log.propose(b"a") == 1
    assert await log.propose(b"b") == 2
    await log.stop()


async def test_errors_go_to_their_proposer_only() -> None:
    machine = History()
    log = await started(SimDisk(), machine)
    results = await asyncio.gather(*map(log.propose, (b"a", b"refuse", b"bug", b"b")), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], Conflict)
    assert isinstance(results[2], InternalError)
    assert results[3] == 2
    await log.stop()


async def test_what_is_proposed_in_one_turn_is_one_entry_one_sync_and_one_flush() -> None:
    disk, machine = SimDisk(), History()
    log = await started(disk, machine, settings=BIG)
    last = int(log.stats()["last_log_index"])
    machine.flushes = 0
    disk.trace.clear()
    assert await asyncio.gather(*(log.propose(b"%d" % number) for number in range(100))) == list(range(1, 101))
    assert int(log.stats()["last_log_index"]) == last + 1
    assert disk.trace == [("write", "000000000001.log"), ("sync", "000000000001.log")]
    assert machine.flushes == 1
    await log.stop()


async def test_a_large_turn_is_cut_into_entries_that_still_share_one_sync() -> None:
    disk = SimDisk()
    log = await started(disk, settings=RaftSettings(max_entry_commands=10, max_entry_bytes=1000))
    last = int(log.stats()["last_log_index"])
    disk.trace.clear()
    await asyncio.gather(*(log.propose(b"x") for _ in range(25)))
    assert int(log.stats()["last_log_index"]) == last + 3
    await asyncio.gather(*(log.propose(bytes(size)) for size in (600, 600, 5000, 10, 10)))
    assert int(log.stats()["last_log_index"]) == last + 3 + 4
    assert [operation for operation, _ in disk.trace].count("sync") == 2
    await log.stop()


async def test_nothing_is_applied_or_acknowledged_before_its_entry_is_on_disk() -> None:
    disk, machine = SimDisk(), History()
    log, worker = await held(disk, machine)
    future = log.propose(b"a")
    await turns()
    assert len(worker.jobs) == 1
    assert machine.commands == []
    assert not future.done()
    worker.step()
    await turns()
    assert machine.commands == [b"a"]
    assert future.result() == 1


async def test_while_the_disk_works_the_next_entry_collects_and_goes_first_when_it_is_done() -> None:
    disk, machine = SimDisk(), History()
    log, worker = await held(disk, machine)
    first = log.propose(b"a")
    await turns()
    later = []
    for number in range(3):
        later.append(log.propose(b"%d" % number))
        await turns()
    assert len(worker.jobs) == 1
    worker.step()
    assert len(worker.jobs) == 1, "the next group is under way before the loop comes round"
    await turns()
    assert first.done()
    assert not any(future.done() for future in later)
    worker.step()
    await turns()
    assert [future.result() for future in later] == [2, 3, 4]
    assert int(log.stats()["last_log_index"]) == 4  # the leader's no-op, and two entries


def test_what_is_new_waits_for_company_while_two_entries_are_on_their_way() -> None:
    """Mutation: `_gather` does not look at how many there are: each is small, and costs as much as a large one."""

    async def main() -> None:
        cluster = Cluster(1, 3, skew=0.0)
        for server in cluster.servers.values():
            await server.start()
        while cluster.leader is None or not cluster.leader.log.is_leader:
            await asyncio.sleep(0.05)
        leader, log = cluster.leader, cluster.leader.log
        await log.propose(b"0")
        begin = log.last_index
        cluster.network.cut |= {(name, leader.node_id) for name in cluster.servers}  # nobody acknowledges
        futures = []
        for number in range(1, 6):
            futures.append(log.propose(b"%d" % number))
            await asyncio.sleep(0.001)
        assert log.last_index - begin == 2
        cluster.network.cut.clear()
        await asyncio.gather(*futures)
        assert log.last_index - begin == 3, "what waited went as one"
        cluster.network.cut |= {(name, leader.node_id) for name in cluster.servers}
        for number in range(6, 11):
            futures.append(log.propose(b"%d" % number))
            await asyncio.sleep(0.02)
        assert log.last_index - begin > 6, "where answers take long, it does not wait for them"
        cluster.network.cut.clear()
        await asyncio.gather(*futures)

    run_sim(main())


async def test_a_proposer_that_gave_up_disturbs_nobody() -> None:
    machine = History()
    log = await started(SimDisk(), machine)
    first, second = log.propose(b"a"), log.propose(b"refuse")
    first.cancel()
    second.cancel()
    assert await log.propose(b"b") == 2
    assert machine.commands == [b"a", b"b"]
    await log.stop()


async def test_a_restart_replays_snapshot_and_log_before_it_leads() -> None:
    disk, machine = SimDisk(), History()
    log = await started(disk, machine)
    for number in range(100):
        await log.propose(b"%d" % number)
        if number == 60:
            await log.snapshot()
    term = int(log.stats()["term"])
    await log.stop()
    again = History()
    log = await started(disk, again)
    assert again.commands == machine.commands == [b"%d" % number for number in range(100)]
    assert int(log.stats()["term"]) == term + 1
    assert int(log.stats()["last_snapshot_index"]) == 63  # no-op is entry 2, then 61 of one command each
    await log.stop()


async def test_a_snapshot_cuts_the_log_but_keeps_the_trailing_commands() -> None:
    disk, machine = SimDisk(), History()
    log = await started(disk, machine)
    for number in range(200):
        await log.propose(b"%d" % number)
    before = [name for name in disk if name.endswith(".log")]
    disk.trace.clear()
    await log.snapshot()
    operations = [operation for operation, _ in disk.trace]
    renamed, removed = operations.index("rename"), operations.index("remove")
    assert operations[renamed - 1] == "sync"
    assert "sync_names" in operations[renamed:removed], "the log is cut only when the snapshot's name is on disk"
    after = [name for name in disk if name.endswith(".log")]
    assert len(after) < len(before)
    await log.stop()
    entries, _ = SegmentLog(disk).recover()
    assert entries[0][1] <= 202 - SMALL.trailing_logs + 1
    assert entries[0][1] > 100


async def test_two_snapshots_are_kept_and_a_damaged_one_is_replaced_by_the_older_and_the_log() -> None:
    disk, machine = SimDisk(), History()
    log = await started(disk, machine, settings=BIG)
    for number in range(30):
        await log.propose(b"%d" % number)
        if number in (5, 10, 15):
            await log.snapshot()
    await log.stop()
    snapshots = [name for name in disk if name.startswith("snapshot-")]
    assert len(snapshots) == 2
    disk.flip(snapshots[-1], 50)
    again = History()
    log = await started(disk, again)
    assert again.commands == machine.commands
    await log.stop()


async def test_a_damaged_snapshot_without_the_log_to_make_up_for_it_is_refused() -> None:
    disk = SimDisk()
    log = await started(disk)
    for number in range(300):
        await log.propose(b"%d" % number)
        if number in (100, 250):
            await log.snapshot()
    await log.stop()
    newest = [name for name in disk if name.startswith("snapshot-")][-1]
    disk.flip(newest, 60)
    with pytest.raises(CorruptData, match=rf"{newest}: at offset \d+: .*restore this server"):
        await started(disk)


async def test_damage_in_the_middle_of_the_log_is_refused_loudly() -> None:
    disk = SimDisk()
    log = await started(disk, settings=BIG)
    for number in range(50):
        await log.propose(b"%d" % number)
    await log.stop()
    disk.flip("000000000001.log", 100)
    with pytest.raises(CorruptData, match=r"000000000001\.log: at offset \d+: .*restore this server"):
        await started(disk)


async def test_a_lost_vote_file_is_refused() -> None:
    disk = SimDisk()
    log = await started(disk)
    await log.stop()
    disk.remove("vote")
    with pytest.raises(CorruptData, match="vote: missing"):
        await started(disk)


async def test_an_entry_of_a_newer_program_stops_the_start_and_is_not_lost() -> None:
    disk = SimDisk()
    log = await started(disk)
    await log.propose(b"a")
    await log.stop()
    segments = SegmentLog(disk)
    segments.recover()
    segments.append([(b"\x09new", 4, 1)])
    segments.close()
    with pytest.raises(CorruptData, match="type 9: written by a newer program"):
        await started(disk)
    assert SegmentLog(disk).recover()[0][2][0] == b"\x09new"


async def test_a_full_disk_refuses_writes_and_leadership_until_there_is_space_again() -> None:
    disk, machine, clock = SimDisk(), History(), VirtualClock()
    log = await started(disk, machine, clock=clock)
    await log.propose(b"kept")
    disk.free_bytes = 5
    # Fill what is reserved, too: the first proposals may still fit.
    results = await asyncio.gather(*(log.propose(bytes(300)) for _ in range(20)), return_exceptions=True)
    acknowledged = [result for result in results if isinstance(result, int)]
    refused = [result for result in results if isinstance(result, Unavailable)]
    assert len(acknowledged) + len(refused) == 20
    assert refused
    assert "No space left on device" in str(refused[0])
    assert not log.is_leader
    assert log.leader == ""
    with pytest.raises(Unavailable, match="cannot be written") as caught:
        await log.propose(b"x")
    assert caught.value is not refused[0]
    assert refused[0] is not refused[1], "one object for all would collect their tracebacks"
    with pytest.raises(NoLeader):
        await log.barrier()
    await clock.advance(5)
    assert not log.is_leader
    disk.free_bytes = None
    await clock.advance(2)
    assert log.is_leader
    await log.propose(b"after")
    await log.stop()
    again = History()
    log = await started(disk, again)
    assert again.commands == machine.commands
    assert machine.commands[0] == b"kept"
    assert machine.commands[-1] == b"after"
    await log.stop()


@pytest.mark.parametrize("operation", ["write", "sync"])
async def test_after_an_input_output_error_nothing_is_acknowledged_and_nothing_tried_again(
    operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    disk, machine, clock = SimDisk(), History(), VirtualClock()
    log = await started(disk, machine, clock=clock)
    await log.propose(b"kept")
    disk.fail = lambda what, name: OSError(errno.EIO, os.strerror(errno.EIO)) if what == operation else None
    with pytest.raises(Unavailable, match="Input/output error"):
        await log.propose(b"lost")
    assert machine.commands == [b"kept"]
    disk.fail = lambda what, name: None
    await clock.advance(60)
    assert not log.is_leader
    with pytest.raises(Unavailable):
        await log.propose(b"x")
    assert "cannot be written" in caplog.text
    await log.stop()


async def test_a_snapshot_that_cannot_be_written_leaves_everything_as_it_was() -> None:
    disk, machine = SimDisk(), History()
    log = await started(disk, machine)
    for number in range(60):
        await log.propose(b"%d" % number)
    names = list(disk)
    disk.fail = lambda what, name: OSError(errno.EIO, "no") if name.endswith(".snap.tmp") and what == "sync" else None
    await log.snapshot()
    await turns()
    assert list(disk) == names
    assert await log.propose(b"goes on") == 61
    await log.stop()


async def test_stop_waits_for_what_was_proposed_and_refuses_what_comes_after() -> None:
    disk, machine = SimDisk(), History()
    log = await started(disk, machine)
    future = log.propose(b"a")
    await log.stop()
    assert future.result() == 1
    with pytest.raises(Unavailable, match="shutting down"):
        await log.propose(b"b")


async def test_a_reader_that_fails_to_wake_does_not_stop_the_log() -> None:
    class Grumpy(History):
        def flush(self) -> None:
            raise ZeroDivisionError

    log = await started(SimDisk(), Grumpy())
    assert await log.propose(b"a") == 1
    assert await log.propose(b"b") == 2
    await log.stop()


async def test_a_snapshot_is_taken_after_the_interval_when_there_were_enough_commands() -> None:
    disk, clock = SimDisk(), VirtualClock()
    log = await started(disk, clock=clock, settings=RaftSettings(snapshot_threshold=10, snapshot_interval_s=30))
    for number in range(9):
        await log.propose(b"%d" % number)
    await clock.advance(120)
    assert not [name for name in disk if name.startswith("snapshot-")]
    await log.propose(b"x")
    await clock.advance(60)
    await turns()
    assert [name for name in disk if name.startswith("snapshot-")] == ["snapshot-00000000000000000012-1.snap"]
    await log.stop()


async def test_a_backlog_takes_one_slice_in_a_turn_of_the_loop_whatever_else_ticks() -> None:
    """Mutation: `_tick` itself clears the flag of `_tick_soon`: each tick in between makes one more slice a turn."""
    disk, machine = SimDisk(), History()
    log = await started(disk, machine, settings=RaftSettings(slice_s=0.0, max_entry_commands=1))
    ticks = 0
    tick = log._engine.tick

    def counted() -> None:
        nonlocal ticks
        ticks += 1
        tick()

    log._engine.tick = counted  # type: ignore[method-assign]
    futures = [log.propose(b"%d" % number) for number in range(60)]
    while not machine.commands:
        await asyncio.sleep(0)
    for _ in range(5):
        log._tick()  # as when the disk is done, or a deadline is over
    before = ticks
    await asyncio.sleep(0)
    assert ticks - before <= 2
    assert len(machine.commands) < 30
    await asyncio.gather(*futures)
    await log.stop()
