"""What a follower takes and acknowledges, what a leader counts, how long its lease is. Each test names its mutation."""

from __future__ import annotations

import pytest
from meshtest.engines import Server, journal_of

from meshagent.catalog.raft.messages import AppendEntries, AppendReply, TimeoutNow
from meshagent.errors import InternalError

OLD = [(b"\x00a", 2, 1), (b"\x00b", 3, 1), (b"\x00c", 4, 1)]


def entries(server: Server) -> list[tuple[bytes, int]]:
    return [(payload, term) for payload, _, term in server.journal[1:]]


async def test_a_follower_deletes_only_what_contradicts_the_leader() -> None:
    """Mutation: everything behind `prev_index` is deleted (pysyncobj). A late message would take back what was
    acknowledged."""
    server = Server(journal=journal_of(OLD, term=1))
    server.hear(AppendEntries("b", 1, 1, 1, 1, 0, 1, [OLD[0]]))
    assert server.engine.last_index == 4
    server.hear(AppendEntries("b", 2, 1, 1, 2, 1, 1, [(b"\x00d", 3, 2)]))
    assert entries(server) == [(b"\x00a", 1), (b"\x00d", 2)]


async def test_commit_never_moves_over_log_that_the_leader_has_not_shown_to_be_its_own() -> None:
    """Mutation: commit up to the own last entry."""
    server = Server(journal=journal_of(OLD, term=1))
    server.hear(AppendEntries("b", 2, 1, 1, 2, 1, 9, []))
    assert server.engine.commit_index == 2


async def test_what_is_committed_is_never_deleted() -> None:
    """Mutation: `_cut` without its check: a wrong leader would make this server forget."""
    server = Server(journal=journal_of(OLD, term=1))
    server.hear(AppendEntries("b", 1, 1, 1, 4, 1, 4, []))
    with pytest.raises(InternalError):
        server.engine._cut(3)


async def test_an_acknowledgement_leaves_only_when_the_entries_are_on_disk() -> None:
    """Mutation: `Standing._send` sends at once."""
    server = Server()
    server.hear(AppendEntries("b", 1, 1, 1, 1, 0, 1, [OLD[0]]))
    assert server.said(AppendReply) == []
    server.disk_works()
    assert [(reply.success, reply.index) for reply in server.said(AppendReply)] == [(True, 2)]


async def test_an_answer_to_an_earlier_term_or_connection_does_not_count() -> None:
    """Mutation: `_on_reply` checks neither term nor epoch."""
    server = Server()
    await server.lead()
    server.disk_works()
    last, term = server.engine.last_index, server.engine.term
    server.hear(AppendReply("b", term - 1, 1, 1, True, last))
    server.hear(AppendReply("b", term, 0, 1, True, last))
    server.engine.tick()
    assert server.engine.commit_index < last
    server.hear(AppendReply("b", term, 1, 1, True, last))
    server.engine.tick()
    assert server.engine.commit_index == last


async def test_a_message_on_a_connection_that_was_replaced_is_dropped() -> None:
    """Mutation: `receive` ignores `epoch`."""
    server = Server()
    server.hear(AppendEntries("b", 1, 1, 1, 1, 0, 1, []), epoch=5)
    server.hear(AppendEntries("b", 1, 1, 1, 1, 0, 1, [OLD[0]]), epoch=4)
    server.engine.receive("c", AppendEntries("b", 1, 1, 1, 1, 0, 1, [OLD[0]]), 9)
    assert server.engine.last_index == 1
    assert server.engine.dropped == 2


async def test_a_lease_counts_from_when_the_heartbeat_was_sent() -> None:
    """Mutation: it counts from when the answer came in."""
    server = Server()
    await server.lead()
    server.disk_works()
    sent = server.clock.monotonic()
    await server.clock.advance(0.7)
    server.reply("b", server.engine.last_index, round_=1)
    server.engine.tick()
    assert server.engine.leads
    assert server.engine._lease_until == pytest.approx(sent + 0.75)
    await server.clock.advance(0.06)
    assert not server.engine.leads, "0.76 s after what b answered was sent, 0.06 s after its answer"


async def test_a_lease_ends_before_any_other_server_can_be_elected() -> None:
    """Mutation: the lease is not shorter than the election timeout. A process that was stopped finds it over, before
    it has done anything else."""
    server = Server()
    await server.lead()
    server.disk_works()
    server.reply("b", server.engine.last_index)
    server.engine.tick()
    assert server.engine.leads
    await server.clock.advance(0.95)
    assert server.engine.takes_commands, "nothing has been noticed yet"
    assert not server.engine.leads


async def test_one_of_five_makes_no_lease_and_no_commit() -> None:
    """Mutation: `_quorum_of` takes less than a majority."""
    server = Server(peers=("b", "c", "d", "e"))
    await server.lead_five()
    server.disk_works()
    server.reply("b", server.engine.last_index)
    server.engine.tick()
    assert server.engine.commit_index == 1
    assert not server.engine.leads
    server.reply("c", server.engine.last_index)
    server.engine.tick()
    assert server.engine.leads


async def test_a_new_leader_reads_nothing_before_an_entry_of_its_own_is_applied() -> None:
    """Mutation: `leads` without the no-op: earlier leaders' writes may not be applied yet."""
    server = Server(journal=journal_of(OLD, term=1))
    await server.lead()
    server.reply("b", 4)
    server.engine.tick()
    assert not server.engine.leads
    server.reply("b", server.engine.last_index)
    server.journal._synced()
    server.engine.tick()
    assert server.engine.leads


async def test_a_read_is_confirmed_by_a_round_that_begins_after_it() -> None:
    """Mutation: `confirm` names the round under way."""
    server = Server()
    await server.lead()
    server.disk_works()
    under_way = server.engine._round
    wanted = server.engine.confirm()
    server.reply("b", server.engine.last_index, round_=under_way)
    assert server.engine.confirmed_round < wanted
    server.engine.tick()
    server.reply("b", server.engine.last_index, round_=wanted)
    assert server.engine.confirmed_round == wanted


async def test_a_follower_that_misses_entries_says_from_where_and_gets_them() -> None:
    """Mutation: `probe` never goes back."""
    server = Server(journal=journal_of(OLD, term=1))
    await server.lead()
    server.disk_works()
    server.said(AppendEntries)
    server.reply("b", 2, success=False)
    message = server.said(AppendEntries)[0]
    assert (message.prev_index, [entry[1] for entry in message.entries][:3]) == (1, [2, 3, 4])


async def test_the_leader_sends_before_its_own_disk_is_done_but_not_before_its_term_is_on_it() -> None:
    """Mutation: `_say` holds nothing."""
    server = Server(peers=("b",))
    await server.stand()
    server.worker.jobs.clear()
    await server.lead_on()
    assert server.said(AppendEntries) == []
    server.journal._in_flight = False
    server.journal._vote_staged = True
    server.disk_works()
    assert server.said(AppendEntries)
    server.reply("b", 1)
    server.engine.append(b"\x00x")
    server.said(AppendEntries)
    server.reply("b", server.engine.last_index - 1)
    server.engine.replicate()
    assert server.journal.durable_index < server.engine.last_index
    assert [entry[0] for message in server.said(AppendEntries) for entry in message.entries] == [b"\x00x"]


async def test_a_transfer_waits_for_the_log_then_leads_no_more() -> None:
    """Mutation: `leads` and `_hand_over` forget the transfer: whoever was asked may stand any time later, and a lease
    would still be believed."""
    server = Server()
    await server.lead()
    server.disk_works()
    now = server.clock.monotonic()
    server.engine.transfer("b", now)
    assert not server.engine.takes_commands
    assert server.said(TimeoutNow) == []
    server.reply("b", server.engine.last_index)
    assert len(server.said(TimeoutNow)) == 1
    server.engine.tick()
    assert not server.engine.leads
    server.reply("c", server.engine.last_index)
    await server.pass_s(0.9)
    server.reply("c", server.engine.last_index)
    await server.pass_s(0.2)
    assert server.engine.state_name == "Follower"


async def test_a_transfer_to_who_never_catches_up_is_given_up() -> None:
    """Mutation: it is not, and no write is taken any more."""
    server = Server()
    await server.lead()
    server.disk_works()
    server.engine.transfer("c", server.clock.monotonic())
    for _ in range(6):
        await server.pass_s(0.2)
        server.reply("b", server.engine.last_index)
    assert server.engine.takes_commands


async def test_whom_the_log_does_not_reach_any_more_gets_a_snapshot() -> None:
    """Mutation: `_feed` sends from the oldest entry in memory."""
    server = Server(journal=journal_of(OLD, term=1))
    server.journal._forget(2)
    await server.lead()
    server.disk_works()
    server.reply("b", 2, success=False)
    assert server.behind == ["b"]
    server.engine.snapshot_delivered("b", 4, 1)
    assert server.said(AppendEntries)[-1].prev_index == 4


async def test_the_others_commit_only_what_the_leader_has_applied() -> None:
    """Mutation: `_say` names `commit_index`: a reader at a follower sees it, the next at the leader does not."""
    server = Server()
    await server.lead()
    server.disk_works()
    server.reply("b", server.engine.last_index)
    server.engine.tick()
    applied = server.engine.applied_index
    index = server.engine.append(b"x")
    server.engine.replicate()
    server.reply("b", index)
    server.reply("c", index)
    assert server.engine.commit_index == index, "two of three have it on disk; the leader itself does not"
    server.said(AppendEntries)
    await server.pass_s(0.1)
    assert {message.commit for message in server.said(AppendEntries)} == {applied}
    server.disk_works()
    server.said(AppendEntries)
    await server.pass_s(0.1)
    assert {message.commit for message in server.said(AppendEntries)} == {index}
