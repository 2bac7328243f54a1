"""Damage is found, with its file and record; what is cut off is kept beside, and what remains is a log that starts."""

from __future__ import annotations

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import History, open_on

from meshagent.catalog.raft.configuration import initial
from meshagent.catalog.raft.inspection import BAD, cut, inspect
from meshagent.catalog.raft.members import Members, encode_members
from meshagent.catalog.raft.records import HEADER_BYTES, RECORD_BYTES
from meshagent.catalog.raft.vote import Vote, decode_vote, encode_vote
from meshagent.errors import CorruptData


async def written(count: int = 200, *, snapshot: bool = False) -> SimDisk:
    disk = SimDisk()
    log = open_on(disk, History())
    await log.start()
    for number in range(count):
        await log.propose(b"%d" % number)
        if snapshot and number in (100, 150):
            await log.snapshot()
    await log.stop()
    return disk


def logs(disk: SimDisk) -> list[str]:
    return [name for name in disk.names() if name.endswith(".log")]


async def test_a_good_log_has_no_problems() -> None:
    disk = await written(snapshot=True)
    before = {name: disk.read(name) for name in disk.names()}
    found = inspect(disk)
    assert found.problems == []
    assert (found.last_index, found.last_term, found.seen_index) == (202, 1, 202)
    assert found.vote is not None
    assert len(found.snapshots) == 2
    assert {name: disk.read(name) for name in disk.names()} == before, "looking changes nothing"


@pytest.mark.parametrize("snapshot", [False, True])
async def test_a_damaged_record_is_named_and_cut_off(snapshot: bool) -> None:
    disk = await written(snapshot=snapshot)
    bad = logs(disk)[-2]
    disk.flip(bad, HEADER_BYTES + 3 * (RECORD_BYTES + 20))
    with pytest.raises(CorruptData, match="operator raft repair"):
        await open_on(disk, History()).start()
    found = inspect(disk)
    assert [name for name, _ in found.problems] == [bad, logs(disk)[-1]]
    assert found.problems[0][1].startswith(f"{bad}: at offset ")
    assert 100 < found.last_index < 202 == found.seen_index
    done = cut(disk, found)
    assert f"{bad}: renamed to {bad}{BAD}" in done
    again = inspect(disk)
    assert again.problems == []
    assert again.last_index == found.last_index
    machine = History()
    log = open_on(disk, machine)
    await log.start()
    assert machine.commands == [b"%d" % number for number in range(found.last_index - 2)]
    assert await log.propose(b"more") == len(machine.commands)
    await log.stop()


async def test_a_damaged_snapshot_gives_way_to_the_older_one() -> None:
    disk = await written(snapshot=True)
    newest = inspect(disk).snapshots[0][0]
    disk.flip(newest.name, 60)
    found = inspect(disk)
    assert found.problems[0][0] == newest.name
    assert found.last_index == 202
    cut(disk, found)
    machine = History()
    log = open_on(disk, machine)
    await log.start()
    assert len(machine.commands) == 200
    await log.stop()


async def test_a_missing_segment_ends_the_log() -> None:
    disk = await written()
    disk.remove(logs(disk)[2])
    found = inspect(disk)
    assert "one is missing" in found.problems[0][1]
    assert "follows a damaged one" in found.problems[-1][1]
    cut(disk, found)
    assert inspect(disk).problems == []
    log = open_on(disk, History())
    await log.start()
    await log.stop()


async def test_a_damaged_vote_cannot_be_cut() -> None:
    disk = await written()
    disk.flip("vote", 20)
    assert inspect(disk).others[0][0] == "vote"
    disk.remove("vote")
    assert inspect(disk).others == [("vote", "missing, though there is a log: restore it from a backup")]


async def test_an_empty_directory_is_no_problem() -> None:
    found = inspect(SimDisk())
    assert found.problems == []
    assert found.last_index == 1


@pytest.mark.parametrize("servers", [1, 3])
async def test_who_loses_what_it_acknowledged_loses_its_vote_with_it(servers: int) -> None:
    """Mutation: `cut` leaves the incarnation: the server counts for entries that it has no more."""
    disk = await written()
    disk.flip(logs(disk)[-2], HEADER_BYTES + 3 * (RECORD_BYTES + 20))
    members = initial({f"s{number}": f"s{number}:8300" for number in range(servers)})
    disk.put("members", encode_members(Members(1, members)))
    disk.put("vote", encode_vote(Vote(1, None, 7)))
    cut(disk, inspect(disk))
    left = decode_vote(disk.read("vote"), name="vote")
    assert left == Vote(1, None, 7 if servers == 1 else 0), "with 0 it takes a new one at its next start"
