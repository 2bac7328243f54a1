"""A server that lost its disk and kept its node id is another server: what it says counts only when it has caught up.

Each test names the build that it catches; tests/sim/test_mutations.py runs whole clusters on two of them
(`lost_disks_keep_their_vote`: seed 49 elects two leaders in one term).
"""

from __future__ import annotations

import pytest
from meshtest.engines import Server

from meshagent.catalog.raft.batch import MEMBERSHIP
from meshagent.catalog.raft.configuration import Configuration, decode_configuration
from meshagent.catalog.raft.configuration import Server as Member
from meshagent.catalog.raft.messages import AppendEntries, PreVote, RequestVote, SnapshotReply, TimeoutNow, VoteReply
from meshagent.errors import Unavailable

KNOWN = {"a": 0, "b": 21, "c": 31}
LOST = 99  # the incarnation of a directory that nobody knows


async def leading(**options: int) -> Server:
    """It leads, and its first entry is committed: who has which directory is as `KNOWN`, or as `options` says."""
    server = Server(incarnations={**KNOWN, **options})
    await server.pass_s(3)
    for pre in (True, False):
        term = server.engine.term
        server.hear(VoteReply("b", term, 1, term + pre, True, pre, incarnation=options.get("b", 21) or 21))
    server.disk_works()
    server.reply("b", server.engine.last_index, incarnation=options.get("b", 21) or 21)
    server.engine.tick()
    assert server.engine.is_ready
    return server


def member(server: Server, name: str) -> Member:
    found = server.engine.configuration.get(name)
    assert found is not None
    return found


async def test_a_vote_of_another_directory_does_not_count() -> None:
    """Mutation: `_on_vote_reply` looks at the node id alone. The lost directory may have voted in this very term."""
    server = Server(incarnations=KNOWN)
    await server.pass_s(3)
    term = server.engine.term
    server.hear(VoteReply("b", term, 1, term + 1, True, True, incarnation=LOST))
    assert server.engine.term == term, "nor in the question before"
    server.hear(VoteReply("b", term, 1, term + 1, True, True, incarnation=21))
    assert server.engine.term == term + 1
    server.hear(VoteReply("c", term + 1, 1, term + 1, True, False, incarnation=LOST))
    assert not server.engine.takes_commands
    server.hear(VoteReply("b", term + 1, 1, term + 1, True, False, incarnation=21))
    assert server.engine.takes_commands


async def test_an_acknowledgement_of_another_directory_does_not_count() -> None:
    """Mutation: `_quorum_of` takes `match` as it is. A vote that the lost directory gave may be under way: whoever gets
    it would lead without this entry."""
    server = await leading()
    committed = server.engine.commit_index
    server.engine.append(b"x")
    server.engine.replicate()
    server.disk_works()
    server.reply("c", server.engine.last_index, incarnation=LOST)
    server.engine.tick()
    assert server.engine.commit_index == committed
    server.reply("b", server.engine.last_index, incarnation=21)
    server.engine.tick()
    assert server.engine.commit_index > committed


async def test_a_lease_does_not_count_on_another_directory() -> None:
    """Mutation: `confirmed_round` counts whoever answers."""
    server = await leading()
    await server.pass_s(0.7)
    server.reply("c", server.engine.last_index, incarnation=LOST)
    await server.pass_s(0.1)
    assert not server.engine.leads


async def test_it_loses_its_vote_and_gets_it_back_when_it_has_caught_up() -> None:
    """Mutation: `_note_incarnations` does nothing (it never counts again), or `_with_incarnations` leaves the vote."""
    server = await leading()
    server.reply("c", 2, success=False, incarnation=LOST)
    server.engine.tick()
    assert member(server, "c") == Member("c", "c:8300", False, LOST)
    assert server.engine.voters == {"a", "b"}
    server.disk_works()
    server.reply("b", server.engine.last_index, incarnation=21)
    server.engine.tick()
    for _ in range(70):
        server.engine.append(b"x")
    with pytest.raises(Unavailable, match="not caught up"):
        server.engine.add(Member("c", "c:8300", True))
    server.engine.replicate()
    server.disk_works()
    server.reply("b", server.engine.last_index, incarnation=21)
    server.reply("c", server.engine.last_index, incarnation=LOST)
    server.engine.tick()
    server.engine.change(server.engine.add(Member("c", "c:8300", True)))
    assert member(server, "c") == Member("c", "c:8300", True, LOST)
    server.disk_works()
    server.reply("c", server.engine.last_index, incarnation=LOST)
    server.engine.tick()
    assert server.engine.commit_index == server.engine.last_index, "now it counts"


async def test_only_one_loses_its_vote_at_a_time() -> None:
    """Mutation: `_with_incarnations` takes the votes of all at once: two quorums without a common server."""
    server = Server(peers=("b", "c", "d", "e"), incarnations={"b": 21, "c": 31, "d": 41, "e": 51})
    await server.pass_s(3)
    for pre in (True, False):
        term = server.engine.term
        for name, incarnation in (("b", 21), ("c", 31)):
            if not (pre is False and server.engine.takes_commands):
                server.hear(VoteReply(name, term, 1, term + pre, True, pre, incarnation=incarnation))
    server.disk_works()
    for name, incarnation in (("b", 21), ("c", 31), ("d", LOST), ("e", LOST + 1)):
        server.reply(name, server.engine.last_index, incarnation=incarnation)
    server.engine.tick()
    assert sorted(server.engine.voters) == ["a", "b", "c", "e"]
    server.engine.tick()
    assert sorted(server.engine.voters) == ["a", "b", "c", "e"], "not before the change is committed"
    server.disk_works()
    for name, incarnation in (("b", 21), ("c", 31)):
        server.reply(name, server.engine.last_index, incarnation=incarnation)
    server.engine.tick()
    assert sorted(server.engine.voters) == ["a", "b", "c"]


async def test_what_was_not_known_is_written_down() -> None:
    """Mutation: `_with_incarnations` leaves 0: a cluster that began without the numbers stays open for ever."""
    server = await leading(b=0, c=0)
    assert member(server, "b") == Member("b", "b:8300", True, 21)
    server.disk_works()
    server.reply("b", server.engine.last_index, incarnation=21)
    server.reply("c", 2, success=False, incarnation=31)
    server.engine.tick()
    assert member(server, "c") == Member("c", "c:8300", True, 31)
    index = server.engine.last_index
    server.disk_works()
    server.reply("b", index, incarnation=21)
    server.engine.tick()
    assert server.engine.last_index == index, "once"


async def test_nothing_is_handed_over_to_another_directory() -> None:
    """Mutation: `_hand_over` looks at the log alone."""
    server = await leading()
    server.reply("c", server.engine.last_index, incarnation=LOST)
    server.engine.transfer("c", server.clock.monotonic())
    assert server.said(TimeoutNow) == []


async def test_it_stands_for_no_election_itself() -> None:
    """Mutation: `may_lead` looks at the node id alone."""
    server = Server(incarnations={**KNOWN, "a": LOST})
    await server.pass_s(5)
    assert server.said(PreVote) == []
    server.hear(AppendEntries("b", 3, 1, 1, 1, 0, 1, []))
    server.hear(TimeoutNow("b", 3, 1))
    server.disk_works()
    assert server.said(RequestVote) == []


async def test_a_state_that_another_directory_took_does_not_count_for_this_one() -> None:
    """Mutation: `snapshot_delivered` ignores the connection."""
    server = await leading()
    server.wire.epochs["c"] = 2
    server.engine.replicate()
    server.engine.snapshot_delivered("c", server.engine.last_index, 1)
    assert server.engine.match_index("c") == 0
    server.hear(SnapshotReply("c", server.engine.term, 2, server.engine.last_index, 0, True, LOST), 2)
    server.engine.snapshot_delivered("c", server.engine.last_index, 2)
    assert server.engine.match_index("c") > 0
    assert not server.engine._counts("c"), "which is not the one that has the vote"


def test_a_configuration_of_before_has_no_incarnations() -> None:
    old = bytes((MEMBERSHIP,)) + b"\x92\x01\x91\x91\x93\xa1a\xa6a:8300\xc3"
    assert decode_configuration(old) == Configuration((Member("a", "a:8300", True, 0),))
