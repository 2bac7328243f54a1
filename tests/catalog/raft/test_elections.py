"""Who seeks an election, who votes, who does not listen. Each test names the build that it catches."""

from __future__ import annotations

from meshtest.engines import Server, journal_of

from meshagent.catalog.raft.messages import (
    AppendEntries,
    AppendReply,
    PreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)


async def test_a_vote_leaves_only_when_it_is_on_disk() -> None:
    """Mutation: `Standing._send` sends at once."""
    server = Server()
    await server.clock.advance(1.0)
    server.hear(RequestVote("b", 1, 1, 9, 9))
    server.engine.tick()
    assert server.said(VoteReply) == []
    server.disk_works()
    assert [(reply.granted, reply.asked, reply.term) for reply in server.said(VoteReply)] == [(True, 1, 1)]


async def test_what_waits_for_a_disk_that_fails_is_never_said() -> None:
    """Mutation: `Engine.halt` keeps what is held."""
    server = Server()
    await server.clock.advance(1.0)
    server.hear(RequestVote("b", 1, 1, 9, 9))
    server.engine.halt()
    server.engine.resume()
    server.disk_works()
    assert server.said(VoteReply) == []


async def test_a_server_that_hears_its_leader_does_not_listen_to_others() -> None:
    """Mutation: `_is_guarded` is False (any vote request with a higher term deposes a good leader)."""
    server = Server()
    await server.clock.advance(1.0)
    server.hear(AppendEntries("b", 3, 1, 1, 1, 0, 1, []))
    await server.clock.advance(0.9)
    server.hear(RequestVote("c", 9, 1, 9, 9))
    server.hear(PreVote("c", 9, 1, 9, 9))
    server.disk_works()
    assert server.engine.term == 3
    assert server.engine.leader_id == "b"
    assert [reply.granted for reply in server.said(VoteReply)] == [False], "the pre-vote is answered, with no"
    await server.clock.advance(0.2)
    server.hear(RequestVote("c", 9, 1, 9, 9))
    server.disk_works()
    assert [reply.granted for reply in server.said(VoteReply)] == [True]


async def test_a_leader_does_not_listen_either() -> None:
    """Mutation: the guard forgets the leader itself."""
    server = Server()
    await server.lead()
    term = server.engine.term
    server.hear(RequestVote("c", term + 5, 1, 99, 99))
    assert server.engine.takes_commands
    assert server.engine.term == term


async def test_a_restarted_server_waits_for_an_election_timeout_before_it_votes() -> None:
    """Mutation: `_heard_at` begins in the past. A lease may count on what the server heard before the restart."""
    server = Server(journal=journal_of([], term=3))
    await server.clock.advance(0.9)
    server.hear(RequestVote("c", 9, 1, 9, 9))
    server.hear(PreVote("c", 9, 1, 9, 9))
    assert server.engine.term == 3
    server.journal._synced()
    server.engine.tick()
    assert [reply.granted for reply in server.said(VoteReply)] == [False]


async def test_in_a_transfer_the_guard_does_not_hold() -> None:
    """Mutation: `_on_request_vote` looks at the guard always: handing over takes an election timeout."""
    server = Server()
    await server.clock.advance(1.0)
    server.hear(AppendEntries("b", 3, 1, 1, 1, 0, 1, []))
    server.hear(RequestVote("c", 4, 1, 9, 9, transfer=True))
    server.disk_works()
    assert [reply.granted for reply in server.said(VoteReply)] == [True]


async def test_a_server_that_is_cut_off_does_not_raise_its_term() -> None:
    """Mutation: `_seek_election` stands at once (no pre-vote)."""
    server = Server()
    for _ in range(10):
        await server.pass_s(2.1)
    server.disk_works()
    assert server.engine.term == 0
    assert len(server.said(PreVote)) == 20
    assert server.said(RequestVote) == []


async def test_a_pre_vote_changes_nothing_on_the_server_that_is_asked() -> None:
    """Mutation: `_on_pre_vote` takes the term."""
    server = Server()
    await server.clock.advance(1.0)
    server.hear(PreVote("b", 7, 1, 9, 9))
    server.hear(PreVote("c", 7, 1, 9, 9))
    assert [reply.granted for reply in server.said(VoteReply)] == [True, True], "yes to both: it is no promise"
    assert server.engine.term == 0
    assert server.journal.getVotedForNodeId() is None


async def test_votes_are_given_only_to_a_log_that_has_all_of_mine() -> None:
    """Mutation: `_has_all_of_mine` is True."""
    server = Server(journal=journal_of([(b"\x00x", 2, 1), (b"\x00x", 3, 2)], term=2))
    await server.clock.advance(1.0)
    for index, term, granted in ((2, 2, False), (9, 1, False), (3, 2, True)):
        server.hear(RequestVote("b", 9, 1, index, term))
        server.hear(PreVote("b", 10, 1, index, term))
        server.journal._synced()
        server.engine.tick()
        assert [reply.granted for reply in server.said(VoteReply)] == [granted, granted]


async def test_a_late_vote_and_a_vote_of_nobody_do_not_count() -> None:
    """Mutations: `_on_vote_reply` ignores `asked`; `_is_quorum` counts who is no voter."""
    server = Server(peers=("b", "c", "d", "e"))
    await server.pass_s(3)
    for name in ("b", "c"):
        server.hear(VoteReply(name, 0, 1, 1, True, True))
    assert server.engine.state_name == "Candidate"
    server.hear(VoteReply("b", 0, 1, 0, True, False))  # of an earlier term
    server.hear(VoteReply("b", 1, 1, 1, True, True))  # of the pre-vote, again
    server.hear(VoteReply("x", 1, 1, 1, True, False))
    server.hear(VoteReply("y", 1, 1, 1, True, False))
    server.hear(VoteReply("c", 1, 1, 1, True, False))
    server.hear(VoteReply("c", 1, 1, 1, True, False))  # doubled
    assert server.engine.state_name == "Candidate"
    server.hear(VoteReply("d", 1, 1, 1, True, False))
    assert server.engine.takes_commands


async def test_any_answer_of_a_higher_term_ends_leadership() -> None:
    """Mutation: `_on_reply` drops an answer of a higher term, as pysyncobj does."""
    server = Server()
    await server.lead()
    server.disk_works()
    server.hear(AppendReply("c", server.engine.term + 3, 1, 1, False, 1))
    assert not server.engine.takes_commands
    assert server.deposed == 1
    assert server.engine.term == 4
    server = Server()
    await server.stand()
    server.hear(VoteReply("c", 9, 1, 1, False, False))
    assert (server.engine.state_name, server.engine.term) == ("Follower", 9)


async def test_only_the_leader_of_this_term_can_ask_for_an_election() -> None:
    """Mutation: `_on_timeout_now` ignores term or sender: a late one deposes a good leader."""
    server = Server()
    server.hear(AppendEntries("b", 3, 1, 1, 1, 0, 1, []))
    server.hear(TimeoutNow("c", 3, 1))
    server.hear(TimeoutNow("b", 2, 1))
    assert server.engine.term == 3
    server.hear(TimeoutNow("b", 3, 1))
    assert server.engine.term == 4
    server.disk_works()
    assert {request.transfer for request in server.said(RequestVote)} == {True}


async def test_a_server_without_a_vote_seeks_none() -> None:
    """Mutation: `may_lead` is True."""
    server = Server(voter=False)
    assert server.engine.deadline() is None
    await server.pass_s(10)
    assert server.said(PreVote) == []
