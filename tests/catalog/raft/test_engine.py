"""The mended parts of pysyncobj, on messages by hand: who may commit, when, and what restarts remember."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import HeldWorker

from meshagent.catalog.raft.configuration import initial
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import FileJournal, MemoryJournal
from meshagent.catalog.raft.messages import (
    AppendEntries,
    AppendReply,
    Message,
    PreVote,
    RequestVote,
    VoteReply,
    decode_message,
    encode_message,
)
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import VirtualClock

SETTINGS = RaftSettings(multiplier=1, heartbeat_s=0.1, election_min_s=1.0, election_max_s=2.0, slice_s=1.0)
T = TypeVar("T", bound=Message)


class Wire:
    """What was sent, by whom to whom is clear; every peer is connected, on connection number `epochs[peer]`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.servers: dict[str, str] = {}
        self.epochs: dict[str, int] = {}

    def attach(self, on_message: Any, on_connection: Any) -> None:
        raise AssertionError("the driver attaches")

    def set_servers(self, servers: Mapping[str, str]) -> None:
        self.servers = dict(servers)

    def send(self, node_id: str, message: Message) -> None:
        self.sent.append((node_id, decode_message(encode_message(message))))

    def connected(self, node_id: str) -> bool:
        return True

    def epoch(self, node_id: str) -> int:
        return self.epochs.get(node_id, 1)


class Server:
    """An engine with two peers (or `peers`) and a disk that works only when told to."""

    def __init__(self, *, peers: tuple[str, ...] = ("b", "c"), journal: Any = None, slice_s: float = 1.0) -> None:
        self.clock = VirtualClock()
        self.wire = Wire()
        self.worker = HeldWorker()
        self.journal = journal or FileJournal(SimDisk(), self.worker)
        self.applied: list[Entry] = []
        self.states: list[str] = []
        self.behind: list[str] = []
        self.deposed = 0
        self.engine = Engine(
            "a",
            (1, initial({name: f"{name}:8300" for name in ("a", *peers)})),
            journal=self.journal,
            transport=self.wire,
            clock=self.clock,
            rng=random.Random(1),
            settings=SETTINGS if slice_s == 1.0 else replace(SETTINGS, slice_s=slice_s),
            apply=self.applied.append,
            on_state=self.states.append,
            courier=self,  # type: ignore[arg-type]
        )

    def on_behind(self, node_id: str) -> None:
        self.behind.append(node_id)

    def on_deposed(self) -> None:
        self.deposed += 1

    def hear(self, message: Message, epoch: int = 1) -> None:
        self.engine.receive(message.sender, message, epoch)

    def said(self, kind: type[T]) -> list[T]:
        """What was sent of `kind` since the last question."""
        found = [message for _, message in self.wire.sent if isinstance(message, kind)]
        self.wire.sent = [each for each in self.wire.sent if not isinstance(each[1], kind)]
        return found

    async def pass_s(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.engine.tick()

    def disk_works(self) -> None:
        self.journal.sync()
        while self.worker.jobs:
            self.worker.step()
        self.engine.tick()

    async def stand(self) -> None:
        await self.pass_s(3)
        self.hear(VoteReply("b", self.engine.term, 1, self.engine.term + 1, True, True))

    async def lead(self) -> None:
        await self.stand()
        self.hear(VoteReply("b", self.engine.term, 1, self.engine.term, True, False))
        assert self.engine.takes_commands

    def reply(self, node: str, index: int, *, success: bool = True, round_: int | None = None, epoch: int = 1) -> None:
        engine = self.engine
        newest = engine._round if round_ is None else round_
        self.hear(AppendReply(node, engine.term, epoch, newest, success, index))


async def test_a_server_alone_leads_in_its_first_tick() -> None:
    server = Server(peers=())
    server.engine.tick()
    assert server.engine.takes_commands
    assert not server.engine.leads, "not before its no-op is on disk and applied"
    server.disk_works()
    assert server.engine.leads
    assert [(entry[1], entry[2]) for entry in server.applied] == [(2, 1)]
    assert server.states == ["Candidate", "Leader"]
    assert server.engine.deadline() is None, "an idle leader without peers never needs to wake"


async def test_with_peers_it_waits_for_a_timeout_between_the_bounds_and_asks_for_votes() -> None:
    server = Server()
    deadline = server.engine.deadline()
    assert deadline is not None
    assert 1.0 <= deadline <= 2.0
    server.engine.tick()
    assert server.wire.sent == []
    await server.pass_s(2.0)
    assert {node for node, message in server.wire.sent if isinstance(message, PreVote)} == {"b", "c"}
    assert server.engine.state_name == "Follower"
    await server.stand()
    assert server.said(RequestVote) == [], "term and vote are not on disk"
    server.disk_works()
    assert len(server.said(RequestVote)) == 2
    assert server.engine.state_name == "Candidate"


async def test_it_does_not_count_itself_for_an_entry_that_is_not_on_its_disk() -> None:
    server = Server()
    await server.lead()
    server.disk_works()
    index = server.engine.append(b"\x00entry")
    server.journal.sync()
    server.engine.tick()
    server.reply("b", index)
    server.engine.tick()
    assert server.engine.commit_index < index, "b has it, this server does not: one of three"
    server.reply("c", index)
    server.engine.tick()
    assert server.engine.commit_index == index, "b and c are a quorum"
    assert index not in [entry[1] for entry in server.applied], "committed, but not on this disk yet"
    server.disk_works()
    assert server.applied[-1][1] == index


async def test_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    # Raft, figure 8: only an entry of the leader's own term may be committed by the number of its copies.
    server = Server(journal=_journal_of([(b"\x00old", 2, 1)], term=1))
    await server.lead()
    server.reply("b", 2)
    server.engine.tick()
    assert server.engine.commit_index == 1
    server.reply("b", 3)
    server.journal._synced()
    server.engine.tick()
    assert server.engine.commit_index == 3


async def test_a_leader_that_hears_no_majority_stops_leading() -> None:
    server = Server()
    await server.lead()
    await server.pass_s(0.5)
    assert server.engine.takes_commands
    await server.pass_s(0.6)
    assert not server.engine.takes_commands
    assert server.engine.leader_id is None


async def test_heartbeats_are_sent_when_due_and_not_in_between() -> None:
    server = Server()
    await server.lead()
    server.disk_works()
    server.wire.sent.clear()
    server.engine.tick()
    assert server.wire.sent == []
    assert server.engine.deadline() == pytest.approx(server.clock.monotonic() + 0.1)
    await server.pass_s(0.1)
    assert len(server.said(AppendEntries)) == 2


async def test_a_halted_engine_leads_not_and_seeks_no_election() -> None:
    server = Server(peers=())
    server.engine.tick()
    server.disk_works()
    server.engine.halt()
    await server.pass_s(100)
    assert not server.engine.takes_commands
    assert server.engine.deadline() is None
    server.engine.resume()
    server.engine.tick()
    server.disk_works()
    assert server.engine.leads


async def test_term_and_vote_come_back_from_the_journal() -> None:
    server = Server(journal=_journal_of([], term=7, vote="c"))
    assert server.engine.term == 7
    await server.clock.advance(1.0)
    server.hear(RequestVote("b", 7, 1, 9, 9))
    assert not server.said(VoteReply)[0].granted, "voted for c in this term already"
    server.hear(RequestVote("b", 8, 1, 9, 9))
    assert server.said(VoteReply) == [], "the vote is not on disk"
    server.journal._synced()
    server.engine.tick()
    assert server.said(VoteReply)[0].granted
    assert server.journal.getCurrentTerm() == 8
    assert server.journal.getVotedForNodeId() == "b"


async def test_a_backlog_is_applied_in_slices() -> None:
    server = Server(peers=(), journal=_journal_of([(b"\x00x", index, 1) for index in range(2, 1002)], term=1))
    server.engine._slice_s = 0.0
    server.engine.tick()
    server.journal._synced()
    for expected in (1, 2, 3):
        server.engine.tick()
        assert len(server.applied) == expected
        assert server.engine.has_backlog
    server.engine._slice_s = 60.0
    server.engine.tick()
    assert [entry[1] for entry in server.applied] == list(range(2, 1003))
    assert not server.engine.has_backlog
    assert server.engine.applied_term == 2


async def test_several_servers_in_one_process_have_a_clock_each() -> None:
    fast, slow = Server(), Server()
    await fast.clock.advance(2.5)
    slow.engine.tick()
    fast.engine.tick()
    slow.engine.tick()
    assert (len(fast.said(PreVote)), len(slow.said(PreVote))) == (2, 0)


def _journal_of(entries: list[Entry], *, term: int, vote: str | None = None) -> MemoryJournal:
    journal = MemoryJournal()
    for entry in entries:
        journal.add(*entry)
    journal.setCurrentTerm(term, vote)
    journal._synced()
    journal.sync = lambda: None  # type: ignore[method-assign]
    return journal


def test_the_journal_of_these_tests_needs_no_loop() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert _journal_of([(b"x", 2, 1)], term=1).durable_index == 2
