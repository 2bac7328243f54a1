"""The mended parts of pysyncobj, on messages by hand: who may commit, when, and what restarts remember."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from meshtest.disk import SimDisk
from meshtest.logs import HeldWorker

from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import FileJournal, MemoryJournal
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.seams import Node, Transport
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import VirtualClock


class Wire(Transport):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.sent: list[tuple[str, dict[str, Any]]] = []

    @property
    def ready(self) -> bool:
        return True

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        self.sent.append((node.id, message))
        return True

    def deliver(self, node_id: str, **message: Any) -> None:
        self._onMessageReceived(Node(node_id), message)

    def connect(self, *node_ids: str) -> None:
        for node_id in node_ids:
            self._onNodeConnected(Node(node_id))


class Server:
    """An engine with two peers (or `peers`) and a disk that works only when told to."""

    def __init__(self, *, peers: tuple[str, ...] = ("b", "c"), journal: Any = None, slice_s: float = 1.0) -> None:
        self.clock = VirtualClock()
        self.wire = Wire()
        self.worker = HeldWorker()
        self.journal = journal or FileJournal(SimDisk(), self.worker)
        self.applied: list[Entry] = []
        self.states: list[str] = []
        self.engine = Engine(
            "a",
            peers,
            journal=self.journal,
            transport=self.wire,
            clock=self.clock,
            rng=random.Random(1),
            settings=RaftSettings(multiplier=1, slice_s=slice_s),
            apply=self.applied.append,
            on_state=self.states.append,
        )
        self.wire.connect(*peers)

    async def pass_s(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.engine.tick()

    def disk_works(self) -> None:
        self.journal.sync()
        while self.worker.jobs:
            self.worker.step()
        self.engine.tick()

    async def lead(self) -> None:
        await self.pass_s(3)
        self.wire.deliver("b", type="response_vote", term=self.engine.term)
        assert self.engine.takes_commands


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
    assert {node for node, message in server.wire.sent if message["type"] == "request_vote"} == {"b", "c"}
    assert server.engine.state_name == "Candidate"


async def test_it_does_not_count_itself_for_an_entry_that_is_not_on_its_disk() -> None:
    server = Server()
    await server.lead()
    server.disk_works()
    index = server.engine.append(b"\x00entry")
    server.journal.sync()
    server.engine.tick()
    server.wire.deliver("b", type="next_node_idx", next_node_idx=index + 1, reset=False, success=True)
    server.engine.tick()
    assert server.engine.commit_index < index, "b has it, this server does not: one of three"
    server.wire.deliver("c", type="next_node_idx", next_node_idx=index + 1, reset=False, success=True)
    server.engine.tick()
    assert server.engine.commit_index == index, "b and c are a quorum"
    assert index not in [entry[1] for entry in server.applied], "committed, but not on this disk yet"
    server.disk_works()
    assert server.applied[-1][1] == index


async def test_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    # Raft, figure 8: only an entry of the leader's own term may be committed by the number of its copies.
    server = Server(journal=_journal_of([(b"\x00old", 2, 1)], term=1))
    await server.lead()
    server.wire.deliver("b", type="next_node_idx", next_node_idx=3, reset=False, success=True)
    server.engine.tick()
    assert server.engine.commit_index == 1
    server.wire.deliver("b", type="next_node_idx", next_node_idx=4, reset=False, success=True)
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
    server.engine.tick()
    server.wire.sent.clear()
    server.engine.tick()
    assert server.wire.sent == []
    assert server.engine.deadline() == pytest.approx(server.clock.monotonic() + 0.1)
    await server.pass_s(0.1)
    assert [message["type"] for _, message in server.wire.sent] == ["append_entries"] * 2


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
    server.wire.deliver("b", type="request_vote", term=7, last_log_term=9, last_log_index=9)
    assert server.wire.sent == [], "voted for c in this term already"
    server.wire.deliver("b", type="request_vote", term=8, last_log_term=9, last_log_index=9)
    assert [message["type"] for _, message in server.wire.sent] == ["response_vote"]
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
    assert (fast.engine.state_name, slow.engine.state_name) == ("Candidate", "Follower")


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
