"""Builds with one rule taken out. Each must be caught, by the simulation or by a test of the engine (tests/sim)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from meshagent.catalog.raft import engine as engine_module
from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.raft.elections import Elections
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.messages import AppendReply, SnapshotReply, VoteReply
from meshagent.catalog.raft.replication import Replication
from meshagent.catalog.raft.standing import LEADER, Standing
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.catalog.rpc.forward import ForwardingLog
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.read_gate import ReadGate
from meshagent.catalog.rpc.writes import READ_INDEX, encode_index
from meshtest.sim import cluster as cluster_module
from meshtest.sim.cluster import SimServer
from meshtest.sim.stack import StackServer

MUTATIONS: dict[str, Callable[[ExitStack], None]] = {}


def mutation(change: Callable[[ExitStack], None]) -> Callable[[ExitStack], None]:
    MUTATIONS[change.__name__] = change
    return change


@contextmanager
def broken_by(name: str) -> Iterator[None]:
    with ExitStack() as stack:
        (MUTATIONS | MUTATIONS_THAT_HARM_NOBODY)[name](stack)
        yield


def _unnoticed(stack: ExitStack) -> None:
    """A leader does not notice that nobody answers: the second net under the lease, away to show the first."""
    _replace(stack, Replication, "_check_quorum", lambda self, now: None)


MUTATIONS_THAT_HARM_NOBODY = {"notices_nothing": _unnoticed}


def _replace(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(patch.object(owner, name, value))


@mutation
def deletes_everything_behind_prev(stack: ExitStack) -> None:
    """As pysyncobj: a follower deletes its log behind `prev_index`, even where it agrees."""
    take = Replication._take

    def mutant(self: Any, message: Any) -> None:
        prev = message.prev_index
        first = self._journal[0][1]
        if first <= prev < self.last_index and self._term_at(prev) == message.prev_term:
            self._journal.deleteEntriesFrom(prev + 1 - first)
            self._forget_configurations(prev + 1)
            for entry in message.entries:
                self._journal.add(*entry)
                self._note_configuration(entry[1], entry[0])
            self.commit_index = min(max(self.commit_index, message.commit), self.last_index)
            self._answer(message, success=True, index=prev + len(message.entries))
            return
        take(self, message)

    _replace(stack, Replication, "_take", mutant)


@mutation
def commits_over_unchecked_log(stack: ExitStack) -> None:
    """A follower commits up to its own last entry, not up to what the leader has just shown to be the same."""
    take = Replication._take

    def mutant(self: Any, message: Any) -> None:
        take(self, message)
        self.commit_index = max(self.commit_index, min(message.commit, self.last_index))

    _replace(stack, Replication, "_take", mutant)


@mutation
def takes_answers_of_earlier_terms(stack: ExitStack) -> None:
    """An acknowledgement of an earlier term, or an earlier connection, counts in this one."""

    def mutant(self: Any, message: Any, now: float) -> None:
        if isinstance(message, VoteReply):
            self._on_vote_reply(message, now)
        elif message.term > self.term:
            self._step_down(message.term, now)
        elif isinstance(message, AppendReply):
            self._on_append_reply(message, now)
        elif isinstance(message, SnapshotReply):
            self._courier.on_reply(message)

    _replace(stack, Engine, "_on_reply", mutant)


@mutation
def speaks_before_the_disk(stack: ExitStack) -> None:
    """Votes and acknowledgements leave before they are on disk."""
    _replace(stack, Standing, "_send", lambda self, node_id, message: self._transport.send(node_id, message))


@mutation
def counts_itself_before_the_disk(stack: ExitStack) -> None:
    """A leader counts its own copy of an entry that it has only in memory, and applies it."""
    quorum_of = Replication._quorum_of

    def mutant(self: Any, own: int, others: Any) -> int:
        return quorum_of(self, self.last_index if own == self._journal.durable_index else own, others)

    _replace(stack, Replication, "_quorum_of", mutant)
    _replace(stack, Engine, "_applicable", lambda self: min(self.commit_index, self.last_index))


@mutation
def commits_earlier_terms_by_counting(stack: ExitStack) -> None:
    """Figure 8 of the paper."""

    def mutant(self: Any, now: float) -> None:
        index = self._quorum_of(self._journal.durable_index, lambda progress: progress.match)
        self.commit_index = max(self.commit_index, index)

    _replace(stack, Replication, "_commit", mutant)


@mutation
def votes_while_a_leader_lives(stack: ExitStack) -> None:
    """No vote guard, no pre-vote guard: a leader's lease means nothing."""
    _unnoticed(stack)
    _replace(stack, Elections, "_is_guarded", lambda self, now: False)


@mutation
def forgets_the_leader_in_a_restart(stack: ExitStack) -> None:
    """A restarted server votes at once, though a lease may still count on it."""
    _unnoticed(stack)
    init = Standing.__init__

    def mutant(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self._heard_at = -1e9

    _replace(stack, Standing, "__init__", mutant)


@mutation
def lease_from_the_answer(stack: ExitStack) -> None:
    """The lease counts from when the answer came in."""
    _unnoticed(stack)
    on_reply = Replication._on_append_reply

    def mutant(self: Any, message: Any, now: float) -> None:
        on_reply(self, message, now)
        if self.role == LEADER and self.confirmed_round:
            self._lease_until = max(self._lease_until, now + self._lease_s)

    _replace(stack, Replication, "_on_append_reply", mutant)


@mutation
def lease_longer_than_an_election(stack: ExitStack) -> None:
    """The lease outlives the vote guard."""
    _unnoticed(stack)
    init = Standing.__init__

    def mutant(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self._lease_s = 2 * self._election_max_s

    _replace(stack, Standing, "__init__", mutant)


@mutation
def no_lease(stack: ExitStack) -> None:
    """Whoever believes to lead answers default reads."""
    _unnoticed(stack)
    _replace(stack, Engine, "leads", property(lambda self: self.is_ready))


@mutation
def reads_before_its_first_entry(stack: ExitStack) -> None:
    """A new leader answers before an entry of its own term is applied."""
    _replace(
        stack,
        Engine,
        "leads",
        property(lambda self: self.role == LEADER and self._clock.monotonic() < self._lease_until),
    )


@mutation
def barrier_without_a_quorum(stack: ExitStack) -> None:
    """A consistent read does not ask anybody."""
    _unnoticed(stack)
    _replace(stack, Replication, "confirm", lambda self: 0)


@mutation
def barrier_takes_the_round_under_way(stack: ExitStack) -> None:
    """A consistent read is content with answers to what was asked before it."""
    _unnoticed(stack)
    _replace(stack, Replication, "confirm", lambda self: self._round)


@mutation
def keeps_leading_after_a_failed_transfer(stack: ExitStack) -> None:
    """After handing over in vain a leader answers under its lease again; who was asked may stand any time later."""
    _unnoticed(stack)

    def mutant(self: Any, now: float) -> None:
        if self._transfer is not None:
            node_id, until, told = self._transfer
            progress = self._progress.get(node_id)
            if now >= until or progress is None:
                self._transfer = None
            elif not told and progress.match == self.last_index:
                self._transfer = (node_id, until, True)
                message = engine_module.TimeoutNow(self.node_id, self.term, self._transport.epoch(node_id))
                self._hold(self._led_mark, node_id, message)

    _replace(stack, Replication, "_hand_over", mutant)


@mutation
def tells_what_it_has_not_applied(stack: ExitStack) -> None:
    """The others commit and show what the leader's own reads do not show yet: its disk is the slowest."""
    say = Replication._say

    def mutant(self: Any, *args: Any, **options: Any) -> None:
        self._leaves = True
        say(self, *args, **options)

    _replace(stack, Replication, "_say", mutant)


@mutation
def many_changes_at_once(stack: ExitStack) -> None:
    """A change of members begins before the last one is committed, or before the leader has an entry of its own."""

    def mutant(self: Any, configuration: Any) -> int:
        index = self._append_configuration(configuration)
        self.replicate()
        return int(index)

    _replace(stack, Engine, "change", mutant)


@mutation
def applies_retries_again(stack: ExitStack) -> None:
    """A write's id is ignored."""
    _replace(stack, ReplicatedState, "apply_once", lambda self, request_id, command: self.apply(command))


@mutation
def forgets_ids_in_snapshots(stack: ExitStack) -> None:
    """The ids of writes are not part of the snapshot."""
    from meshagent.catalog.raft.once import Outcomes

    _replace(stack, Outcomes, "dump", lambda self: [])


@mutation
def forgets_members_in_snapshots(stack: ExitStack) -> None:
    """The configuration is not part of the snapshot."""
    restore = ReplicatedState.restore

    def mutant(self: Any, chunks: Any) -> None:
        restore(self, chunks)
        self.restored = None

    _replace(stack, ReplicatedState, "restore", mutant)


@mutation
def lost_disks_keep_their_vote(stack: ExitStack) -> None:
    """Who comes back with an empty data directory under its old node id votes and counts as before."""
    with_incarnations = Replication._with_incarnations

    def mutant(self: Any) -> Any:
        voters = self.configuration.voters
        servers = with_incarnations(self).servers
        return Configuration(tuple(replace(each, voter=each.node_id in voters) for each in servers))

    _replace(stack, Standing, "_is_same", lambda self, node_id, incarnation: True)
    _replace(stack, Replication, "_with_incarnations", mutant)


@mutation
def counts_any_incarnation(stack: ExitStack) -> None:
    """A server that lost its disk loses its vote when a leader hears it; until then what it says counts."""
    _replace(stack, Standing, "_is_same", lambda self, node_id, incarnation: True)


@mutation
def forwards_again_under_another_id(stack: ExitStack) -> None:
    """A write that a forwarding server tries again is another write."""
    again = ForwardingLog._again

    def mutant(self: Any, writes: Any) -> None:
        for write in writes:
            write.id = self._origin + next(self._count).to_bytes(8, "big")
        again(self, writes)

    _replace(stack, ForwardingLog, "_again", mutant)


@mutation
def followers_read_without_asking(stack: ExitStack) -> None:
    """A default read at a follower is answered from its own state at once."""
    _replace(stack, ForwardingLog, "read_gate", lambda self, consistent=False: None)


@mutation
def reads_join_a_question_under_way(stack: ExitStack) -> None:
    """A read uses the answer to a question that left before it came."""
    ready = ReadGate.ready

    def mutant(self: Any) -> Any:
        return next(iter(self._asking.values()), None) or ready(self)

    _replace(stack, ReadGate, "ready", mutant)


@mutation
def answers_before_it_has_applied(stack: ExitStack) -> None:
    """A follower answers a read when the leader has told it how far it must be, not when it is there."""
    told = ForwardingLog._told

    def mutant(self: Any, call: Any, ready: Any) -> None:
        if call.cancelled() or call.exception() is not None:
            told(self, call, ready)
        elif not ready.done():
            ready.set_result(None)

    _replace(stack, ForwardingLog, "_told", mutant)


@mutation
def a_deposed_leader_tells_how_far_it_is(stack: ExitStack) -> None:
    """`read-index` is answered by whoever is asked, leader or not."""
    module = sys.modules[StackServer.__module__]

    def mutant(log: Any) -> Any:
        async def read_index(_: Any, payload: bytes) -> bytes:
            return encode_index(log.applied_index)

        return {**leader_methods(log), READ_INDEX: read_index}

    _unnoticed(stack)
    _replace(stack, module, "leader_methods", mutant)


@mutation
def disks_that_lie(stack: ExitStack) -> None:
    """fdatasync is not called."""
    init = SimServer.__init__

    def mutant(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self.disk.lying = True

    _replace(stack, cluster_module.SimServer, "__init__", mutant)
